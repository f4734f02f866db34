/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clusters compressed with zstd (compression type 1). Pure: no I/O. zstd.c needs libzstd; without
 * it zstd_absent.c stands in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Was the program built with libzstd? */
bool zstd_is_available(void);

/*
 * Decompress to exactly @cluster_size bytes, from one frame or several. Bytes may be left over.
 * -EUCLEAN where the frames hold less, more or nonsense.
 */
int zstd_decompress_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
			    size_t cluster_size);
