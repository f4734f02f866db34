/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressed clusters: from the bytes in the file to the cluster they stand for.
 */
#include "qcow2.h"
#include "zstd.h"

#include "../inflate.h"
#include "cleanup.h"
#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long the stream is is known only to a sector, so bytes may be left over. */
static int decompress(const struct qcow2 *q, const uint8_t *stream, size_t stream_length,
		      uint8_t *cluster, size_t cluster_size)
{
	if (q->header.compression_type == QCOW2_COMPRESSION_ZSTD)
		return zstd_decompress_cluster(stream, stream_length, cluster, cluster_size);
	return inflate_cluster(stream, stream_length, cluster, cluster_size);
}

static int look_up(struct qcow2 *q, uint64_t guest_offset, struct l2_entry *ret)
{
	LOCKED(&q->meta);
	uint64_t count = 1;

	return qcow2_look_up(q, guest_offset, &count, ret);
}

/* Read part of one cluster, which begins in the guest's disk at @into bytes before @buffer's. */
static int read_cluster(struct qcow2 *q, const struct l2_entry *entry, size_t into, void *buffer,
			size_t count)
{
	size_t cluster_size = (size_t)q->geometry.cluster_size;
	_cleanup_free_ uint8_t *stream = malloc(entry->compressed_length);
	_cleanup_free_ uint8_t *cluster = NULL;
	uint8_t *target = buffer;
	int r;

	if (count < cluster_size)
		target = cluster = malloc(cluster_size);
	if (!stream || !target)
		return -ENOMEM;
	/* The last sector may be cut off by the end of the file: that reads as zeroes. */
	r = hostfile_read(q->file, stream, entry->compressed_length, entry->host_offset);
	if (r == 0)
		r = decompress(q, stream, entry->compressed_length, target, cluster_size);
	if (r == 0 && target != buffer)
		memcpy(buffer, target + into, count);
	return r;
}

int qcow2_read_compressed(struct imgfmt_image *image, void *buffer, size_t count,
			  uint64_t guest_offset)
{
	struct qcow2 *q = qcow2_of(image);
	uint8_t *bytes = buffer;

	while (count > 0) {
		uint64_t into = into_cluster(&q->geometry, guest_offset);
		size_t length = (size_t)min_u64(count, q->geometry.cluster_size - into);
		struct l2_entry entry;
		int r;

		r = look_up(q, guest_offset, &entry);
		if (r < 0)
			return r;
		/* Somebody has written there since map was asked. */
		if (entry.kind != SUBCLUSTER_COMPRESSED)
			return -EAGAIN;
		r = read_cluster(q, &entry, (size_t)into, bytes, length);
		if (r < 0)
			return r;
		bytes += length;
		guest_offset += length;
		count -= length;
	}
	return 0;
}
