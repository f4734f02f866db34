/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressed clusters: from the bytes in the file to the cluster they stand for.
 */
#include "qcow2.h"

#include "cleanup.h"
#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Deflate without a header; a window of 4 KiB is what writers use, and enough to declare. */
#define WINDOW_BITS (-12)

/*
 * Inflate to exactly one cluster. How long the stream is is known only to a sector, so bytes may
 * be left over, and the stream may be cut right behind the last byte that is needed.
 */
static int inflate_cluster(const uint8_t *stream, size_t stream_length, uint8_t *cluster,
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
		r = inflate_cluster(stream, entry->compressed_length, target, cluster_size);
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
