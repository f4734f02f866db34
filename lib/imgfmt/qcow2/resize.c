/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing the size of the disk.
 *
 * The new size is in the header only after the next flush, so that by then the tables are ready for
 * it. No request is under way meanwhile.
 */
#include "qcow2.h"

#include "bytes.h"
#include "cleanup.h"
#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Copy the entries of the L1 table, as the cache has them, to the start of @table. */
static int copy_l1(struct qcow2 *q, uint8_t *table)
{
	size_t slice_size = q->geometry.slice_size;
	uint64_t size = (uint64_t)q->header.l1_size * 8;

	for (uint64_t at = 0; at < size; at += slice_size) {
		struct slice *slice;
		int r;

		r = cache_get(&q->cache, q->header.l1_offset + at, STAGE_MAP, &slice);
		if (r < 0)
			return r;
		memcpy(table + at, slice->data, (size_t)min_u64(slice_size, size - at));
		cache_put(&q->cache, slice);
	}
	return 0;
}

/* The clusters of the L1 table. */
static struct run l1_clusters(const struct qcow2 *q)
{
	return (struct run){ cluster_of(&q->geometry, q->header.l1_offset),
			     units_of((uint64_t)q->header.l1_size * 8, q->geometry.cluster_bits) };
}

/* A copy of the L1 table with room for @entries, which nothing points to yet. */
static int write_new_l1(struct qcow2 *q, uint64_t entries, struct run *ret)
{
	LOCKED(&q->meta);
	uint64_t clusters = units_of(entries * 8, q->geometry.cluster_bits);
	size_t size = (size_t)offset_of(&q->geometry, clusters);
	_cleanup_free_ uint8_t *table = calloc(1, size);
	struct run run;
	bool fresh;
	int r;

	if (!table)
		return -ENOMEM;
	/* The old one will be let go of. */
	r = qcow2_check_counted(q, l1_clusters(q));
	if (r == 0)
		r = copy_l1(q, table);
	if (r < 0)
		return r;
	r = clusters == 1 ? qcow2_allocate(q, 1, &run, &fresh) :
			    qcow2_allocate_region(q, clusters, &run);
	if (r < 0)
		return r;
	r = hostfile_write(q->file, table, size, offset_of(&q->geometry, run.first));
	if (r < 0) {
		qcow2_take_back(q, run);
		return r;
	}
	*ret = run;
	return 0;
}

static int switch_l1(struct qcow2 *q, uint64_t entries, uint64_t new_offset)
{
	LOCKED(&q->meta);
	uint64_t old_offset = q->header.l1_offset;
	struct run old = l1_clusters(q);
	uint8_t fields[12];
	int r;

	put_be32(fields, (uint32_t)entries);
	put_be64(fields + 4, new_offset);
	r = qcow2_write_header(q, fields, sizeof(fields), QCOW2_AT_L1_SIZE);
	if (r < 0)
		return r;
	q->header.l1_size = (uint32_t)entries;
	q->header.l1_offset = new_offset;
	if (old.count == 0)
		return 0;
	cache_forget(&q->cache, old_offset, offset_of(&q->geometry, old.count));
	qcow2_unlink(q, old);
	return 0;
}

/* Move the L1 table to where it has room for @entries. */
static int grow_l1(struct qcow2 *q, uint64_t entries)
{
	struct run run;
	int r;

	r = write_new_l1(q, entries, &run);
	if (r < 0)
		return r;
	/* The new table and its refcounts are durable before the header names it (I1, I3). */
	r = qcow2_flush(q->image);
	if (r < 0) {
		LOCKED(&q->meta);
		qcow2_take_back(q, run);
		return r;
	}
	r = switch_l1(q, entries, offset_of(&q->geometry, run.first));
	if (r < 0) {
		LOCKED(&q->meta);
		/* If a sync has failed the header may name it: then no flush ever lets go of it. */
		qcow2_unlink(q, run);
	}
	return r;
}

static int start_writing(struct qcow2 *q)
{
	LOCKED(&q->meta);

	return qcow2_start_writing(q);
}

/* Drop the clusters that begin between two offsets. */
static int drop_between(struct qcow2 *q, uint64_t from, uint64_t to)
{
	uint64_t first = units_of(from, q->geometry.cluster_bits);
	uint64_t end = units_of(to, q->geometry.cluster_bits);

	/* Where there is no L1 entry yet, there is nothing. */
	end = min_u64(end, (uint64_t)q->header.l1_size << q->geometry.l2_bits);
	return end > first ? qcow2_drop_clusters(q, (struct run){ first, end - first }) : 0;
}

/* ---- data files ---- */

/* Is there a data file that others read as the disk, without us? */
static bool is_raw(const struct qcow2 *q)
{
	return (q->header.autoclear & QCOW2_AUTOCLEAR_DATA_RAW) != 0;
}

/* Point the entries of one slice to where the guest clusters lie in the data file. */
static int link_in_place(struct qcow2 *q, uint64_t guest_cluster, uint64_t *count)
{
	LOCKED(&q->meta);
	const struct qcow2_geometry *geometry = &q->geometry;
	uint64_t guest_offset = offset_of(geometry, guest_cluster);
	struct slice *slice;
	size_t index;
	int r;

	r = qcow2_change_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	*count = min_u64(*count, entries_per_slice(geometry) - index);
	for (uint64_t i = 0; i < *count; i++)
		l2_store(geometry, slice->data, index + i,
			 l2_with_data(geometry, (struct l2_raw){ 0 },
				      guest_offset + offset_of(geometry, i), 0,
				      geometry->subclusters));
	cache_put(&q->cache, slice);
	return 0;
}

/*
 * Whoever reads a raw data file by itself must see what the guest sees: so new clusters belong to
 * the disk at once.
 */
static int link_growth(struct qcow2 *q, uint64_t old_size, uint64_t size)
{
	uint64_t cluster = units_of(old_size, q->geometry.cluster_bits);
	uint64_t end = units_of(size, q->geometry.cluster_bits);

	while (cluster < end) {
		uint64_t count = end - cluster;
		int r;

		r = qcow2_relieve(q);
		if (r == 0)
			r = link_in_place(q, cluster, &count);
		if (r < 0)
			return r;
		cluster += count;
	}
	return 0;
}

static int grow_data_file(struct qcow2 *q, uint64_t old_size, uint64_t size)
{
	struct hostfile *data = q->image->data_file;
	int r;

	if (!data)
		return 0;
	r = hostfile_extend(data, size);
	if (r < 0 || !is_raw(q))
		return r;
	/* It may have been longer than the disk, as a block device often is. */
	r = hostfile_zero(data, old_size, size - old_size, true);
	return r < 0 ? r : link_growth(q, old_size, size);
}

/* ---- growing and shrinking ---- */

static int grow(struct qcow2 *q, uint64_t size)
{
	uint64_t entries = l1_entries_for(&q->geometry, size);
	uint64_t old_size = q->image->size;
	int r;

	/*
	 * There may be something already: where a snapshot with the state of a machine was applied,
	 * that lies beyond the end; and see below.
	 */
	r = drop_between(q, old_size, size);
	if (r == 0 && entries > q->header.l1_size)
		r = grow_l1(q, entries);
	return r < 0 ? r : grow_data_file(q, old_size, size);
}

/*
 * Drop what lies wholly beyond the new end. With a raw data file that is cutting the file off, and
 * the entries stay: after a crash between the one and the other the disk would not be what the file
 * has. A device keeps its length, and growing clears it.
 */
static int shrink(struct qcow2 *q, uint64_t size)
{
	int r;

	if (!is_raw(q))
		return drop_between(q, size, q->image->size);
	r = hostfile_truncate(q->image->data_file, size);
	return r == -ENOTSUP ? 0 : r;
}

/* ---- the size ---- */

int qcow2_truncate(struct imgfmt_image *image, uint64_t size)
{
	struct qcow2 *q = qcow2_of(image);
	int r;

	/* The snapshots of version 2 do not say how large the disk was. */
	if (q->header.version < 3 && q->header.snapshot_count > 0)
		return -ENOTSUP;
	/* The disk consists of sectors. */
	size = align_up(size, 512);
	if (l1_entries_for(&q->geometry, size) > QCOW2_MAX_L1_BYTES / 8)
		return -EFBIG;
	r = start_writing(q);
	if (r == 0)
		r = size < image->size ? shrink(q, size) : grow(q, size);
	if (r < 0)
		return r;
	image->size = size;
	q->size_pending = true;
	return 0;
}
