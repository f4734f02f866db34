/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clusters compressed with zstd; see zstd.h.
 *
 * Frame by frame straight into the cluster: so the window that a frame claims to need, up to many
 * MiB, is never allocated.
 */
#include "zstd.h"

#include "cleanup.h"

#include <errno.h>
#include <zstd.h>

static void free_context(ZSTD_DCtx **context)
{
	ZSTD_freeDCtx(*context);
}

bool zstd_is_available(void)
{
	return true;
}

int zstd_decompress_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			    size_t cluster_size)
{
	CLEANUP(free_context) ZSTD_DCtx *context = ZSTD_createDCtx();

	if (!context)
		return -ENOMEM;
	while (cluster_size > 0) {
		size_t frame = ZSTD_findFrameCompressedSize(stream, stream_length);
		size_t made;

		if (ZSTD_isError(frame) || frame == 0)
			return -EUCLEAN;
		made = ZSTD_decompressDCtx(context, cluster, cluster_size, stream, frame);
		if (ZSTD_isError(made))
			return -EUCLEAN;
		stream += frame;
		stream_length -= frame;
		cluster += made;
		cluster_size -= made;
	}
	return 0;
}
