/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the bytes in the file to those they stand for: compressed clusters, and encrypted ones. A
 * compressed cluster is never encrypted, whatever the header says.
 */
#include "qcow2.h"
#include "zstd.h"

#include "../inflate.h"
#include "cleanup.h"
#include "lock.h"

#include <errno.h>
#include <stdlib.h>

/* How long the stream is is known only to a sector, so bytes may be left over. */
static int decompress(const struct qcow2 *q, const uint8_t *stream, size_t stream_length,
		      uint8_t *cluster, size_t cluster_size)
{
	if (q->header.compression_type == QCOW2_COMPRESSION_ZSTD)
		return zstd_decompress_cluster(stream, stream_length, cluster, cluster_size);
	return inflate_cluster(stream, stream_length, cluster, cluster_size);
}

static int look_up(struct qcow2 *q, uint64_t guest_offset, uint64_t *count, struct l2_entry *ret)
{
	LOCKED(&q->meta);

	return qcow2_look_up(q, guest_offset, count, ret);
}

static bool look_ahead(struct qcow2 *q, uint64_t guest_offset, struct l2_entry *ret)
{
	LOCKED(&q->meta);

	return qcow2_look_ahead(q, guest_offset, ret);
}

/* Larger clusters than this are read in several requests, some of them at the same time. */
#define LARGE_CLUSTER (UINT64_C(256) << 10)

/* What it takes to make a cluster. */
struct compressed {
	struct qcow2 *q;
	const struct l2_entry *entry;
	uint64_t guest_offset; /* of its first byte */
};

static struct inflated_place place_of(const struct l2_entry *entry)
{
	return (struct inflated_place){ entry->host_offset, entry->compressed_length };
}

static int make_cluster(void *userdata, uint8_t *cluster)
{
	const struct compressed *compressed = userdata;
	const struct qcow2 *q = compressed->q;
	size_t length = compressed->entry->compressed_length;
	_cleanup_free_ uint8_t *stream = malloc(length);
	int r;

	if (!stream)
		return -ENOMEM;
	/* The last sector may be cut off by the end of the file: that reads as zeroes. */
	r = hostfile_read(q->file, stream, length, compressed->entry->host_offset);
	return r < 0 ? r : decompress(q, stream, length, cluster, (size_t)q->geometry.cluster_size);
}

/*
 * Somebody else makes the cluster: make the one behind it. Whoever reads on wants it next, and so
 * two processors work for one who reads sequentially.
 */
static void make_next(void *userdata)
{
	const struct compressed *compressed = userdata;
	struct qcow2 *q = compressed->q;
	struct l2_entry entry;
	struct compressed following = {
		.q = q,
		.entry = &entry,
		.guest_offset = compressed->guest_offset + q->geometry.cluster_size,
	};
	const struct inflated_source source = { .inflate = make_cluster, .userdata = &following };

	if (following.guest_offset < q->image->size &&
	    look_ahead(q, compressed->guest_offset, &entry) && entry.kind == SUBCLUSTER_COMPRESSED)
		inflated_prepare(&q->inflated, place_of(&entry), &source);
}

/* Read part of one compressed cluster, at @guest_offset. */
static int read_compressed(struct qcow2 *q, const struct l2_entry *entry, void *buffer,
			   size_t count, uint64_t guest_offset)
{
	size_t into = (size_t)into_cluster(&q->geometry, guest_offset);
	struct compressed compressed = { q, entry, guest_offset - into };
	const struct inflated_source source = {
		.inflate = make_cluster,
		.meanwhile = q->geometry.cluster_size > LARGE_CLUSTER ? make_next : NULL,
		.userdata = &compressed,
	};

	/* Nobody comes back for the rest of it: it need not be kept. */
	if (count == q->geometry.cluster_size)
		return make_cluster(&compressed, buffer);
	return inflated_read(&q->inflated, place_of(entry), into, buffer, count, &source);
}

/* Read the start of a range, as far as it is stored in one way. Sets *ret to how far that is. */
static int read_some(struct qcow2 *q, void *buffer, size_t count, uint64_t guest_offset,
		     size_t *ret)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	uint64_t subclusters = subclusters_touched(geometry, guest_offset, count);
	uint64_t into = into_cluster(geometry, guest_offset);
	struct l2_entry entry;
	int r;

	r = look_up(q, guest_offset, &subclusters, &entry);
	if (r < 0)
		return r;
	*ret = (size_t)min_u64(count, (subclusters << geometry->subcluster_bits) -
					      into_subcluster(geometry, guest_offset));
	if (entry.kind == SUBCLUSTER_COMPRESSED) {
		*ret = (size_t)min_u64(count, geometry->cluster_size - into);
		return read_compressed(q, &entry, buffer, *ret, guest_offset);
	}
	if (entry.kind == SUBCLUSTER_NORMAL && q->aes)
		return aes_read(q->aes, qcow2_data(q), buffer, *ret, guest_offset,
				entry.host_offset + into);
	/* Somebody has written there since map was asked. */
	return -EAGAIN;
}

int qcow2_read_encoded(struct imgfmt_image *image, void *buffer, size_t count,
		       uint64_t guest_offset)
{
	struct qcow2 *q = qcow2_of(image);
	uint8_t *bytes = buffer;

	while (count > 0) {
		size_t length;
		int r;

		r = read_some(q, bytes, count, guest_offset, &length);
		if (r < 0)
			return r;
		bytes += length;
		guest_offset += length;
		count -= length;
	}
	return 0;
}
