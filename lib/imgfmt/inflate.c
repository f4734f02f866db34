/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inflating compressed clusters; see inflate.h. With libdeflate, which is more than twice as fast,
 * where the program was built with it; zlib has the last word on what is damaged.
 */
#include "inflate.h"

#include <errno.h>
#include <stdbool.h>
#include <zlib.h>

#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

/* A window of 4 KiB is what writers use, and enough to declare. */
#define WINDOW_BITS (-12)

#ifdef HAVE_LIBDEFLATE
static bool inflate_fast(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			 size_t cluster_size)
{
	struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
	enum libdeflate_result result;

	if (!decompressor)
		return false;
	/* Without a pointer for the actual size, only exactly this size is a success. */
	result = libdeflate_deflate_decompress(decompressor, stream, stream_length, cluster,
					       cluster_size, NULL);
	libdeflate_free_decompressor(decompressor);
	return result == LIBDEFLATE_SUCCESS;
}
#else
static bool inflate_fast(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			 size_t cluster_size)
{
	(void)stream;
	(void)stream_length;
	(void)cluster;
	(void)cluster_size;
	return false;
}
#endif

/* Any stream that zlib takes, also one that is cut short. */
static int inflate_thoroughly(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			      size_t cluster_size)
{
	z_stream z = {
		/* zlib does not write there, its type is older than const */
		.next_in = (Bytef *)(uintptr_t)stream,
		.avail_in = (uInt)stream_length,
		.next_out = cluster,
		.avail_out = (uInt)cluster_size,
	};
	int status;

	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	status = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (status == Z_MEM_ERROR)
		return -ENOMEM;
	if ((status != Z_STREAM_END && status != Z_BUF_ERROR) || z.avail_out != 0)
		return -EUCLEAN;
	return 0;
}

int inflate_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
		    size_t cluster_size)
{
	if (inflate_fast(stream, stream_length, cluster, cluster_size))
		return 0;
	return inflate_thoroughly(stream, stream_length, cluster, cluster_size);
}
