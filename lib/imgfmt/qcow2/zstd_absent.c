/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of zstd.c where libzstd is missing: such images are refused by name. */
#include "zstd.h"

#include <errno.h>

bool zstd_is_available(void)
{
	return false;
}

int zstd_decompress_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			    size_t cluster_size)
{
	(void)stream;
	(void)stream_length;
	(void)cluster;
	(void)cluster_size;
	return -ENOTSUP;
}
