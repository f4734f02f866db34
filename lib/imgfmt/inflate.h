/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inflating what QEMU's formats call a compressed cluster: deflate without a header. Pure: no I/O.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Inflate to exactly @cluster_size bytes. Bytes may be left over, and the stream may be cut right
 * behind the last byte that is needed, as formats know its length only roughly. -EUCLEAN where
 * it is damaged or yields less.
 */
int inflate_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
		    size_t cluster_size);
