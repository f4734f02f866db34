/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inflating compressed clusters with zlib; see inflate.h. */
#include "inflate.h"

#include <errno.h>
#include <zlib.h>

/* A window of 4 KiB is what writers use, and enough to declare. */
#define WINDOW_BITS (-12)

int inflate_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
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
