/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clusters compressed with zstd; see zstd.h.
 *
 * Frame by frame straight into the cluster: so the window that a frame claims to need, up to many
 * MiB, is never allocated. The context is large, and so each thread keeps one.
 */
#include "zstd.h"

#include <errno.h>
#include <pthread.h>
#include <zstd.h>

static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static int context_key_error;

static void free_context(void *context)
{
	ZSTD_freeDCtx(context);
}

static void create_context_key(void)
{
	context_key_error = pthread_key_create(&context_key, free_context);
}

/* The context of this thread, made when it is first needed; NULL without memory. */
static ZSTD_DCtx *thread_context(void)
{
	ZSTD_DCtx *context;

	pthread_once(&context_once, create_context_key);
	if (context_key_error != 0)
		return NULL;
	context = pthread_getspecific(context_key);
	if (context)
		return context;
	context = ZSTD_createDCtx();
	if (context && pthread_setspecific(context_key, context) != 0) {
		ZSTD_freeDCtx(context);
		return NULL;
	}
	return context;
}

bool zstd_is_available(void)
{
	return true;
}

int zstd_decompress_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			    size_t cluster_size)
{
	ZSTD_DCtx *context = thread_context();

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
