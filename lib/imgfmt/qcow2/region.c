/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions: large tables that must lie in one piece, and the refcount table itself, which must
 * move when it is too small.
 *
 * A region begins where no refcount block describes anything yet, so nothing is in use there. It
 * holds first the blocks that describe it, then what it is for.
 *
 * A refcount table that moves is not in use before the header says so. The order is: blocks and
 * table, sync, header, sync. It happens once in a doubling of the file, and is a place that syncs
 * with meta held.
 */
#include "qcow2.h"

#include "bytes.h"
#include "cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct region {
	uint64_t first_index; /* of its blocks in the refcount table */
	uint64_t first_cluster;
	uint64_t block_count;
	uint64_t payload; /* clusters behind the blocks */
};

static uint64_t payload_cluster(const struct region *region)
{
	return region->first_cluster + region->block_count;
}

static struct region plan_region(const struct qcow2 *q, uint64_t first_index, uint64_t payload)
{
	struct region region = {
		.first_index = first_index,
		.first_cluster = first_index << q->geometry.block_bits,
		.block_count = 1,
		.payload = payload,
	};

	for (;;) {
		uint64_t blocks = units_of(region.block_count + payload, q->geometry.block_bits);

		if (blocks <= region.block_count)
			return region;
		region.block_count = blocks;
	}
}

/* Take the place, and write the blocks: refcount one for each cluster of the region. */
static int claim_region(struct qcow2 *q, const struct region *region)
{
	uint64_t used = region->block_count + region->payload;
	uint64_t start = offset_of(&q->geometry, region->first_cluster);
	uint64_t end = start + offset_of(&q->geometry, used);
	size_t size = (size_t)offset_of(&q->geometry, region->block_count);
	_cleanup_free_ uint8_t *blocks = NULL;

	if (end > QCOW2_MAX_HOST_OFFSET)
		return -EFBIG;
	if (qcow2_check_overlap(q, start, end - start) < 0)
		return qcow2_corrupt(q,
				     "the refcount table calls the clusters from 0x%" PRIx64
				     " on free, where a table lies",
				     start);
	blocks = calloc(1, size);
	if (!blocks)
		return -ENOMEM;
	for (uint64_t i = 0; i < used; i++)
		refcount_store(blocks, (size_t)i, q->geometry.refcount_order, 1);
	q->fresh_from = max_u64(q->fresh_from, end);
	return hostfile_write(q->file, blocks, size, start);
}

/* ---- the refcount table ---- */

/* Copy the entries of the old table as the cache has them. */
static int copy_entries(struct qcow2 *q, uint8_t *table)
{
	uint64_t size = offset_of(&q->geometry, q->header.reftable_clusters);
	size_t slice_size = q->geometry.slice_size;

	for (uint64_t at = 0; at < size; at += slice_size) {
		struct slice *slice;
		int r;

		r = cache_get(&q->cache, q->header.reftable_offset + at, STAGE_REFTABLE, &slice);
		if (r < 0)
			return r;
		memcpy(table + at, slice->data, slice_size);
		cache_put(&q->cache, slice);
	}
	return 0;
}

static int write_table(struct qcow2 *q, const struct region *region)
{
	size_t size = (size_t)offset_of(&q->geometry, region->payload);
	_cleanup_free_ uint8_t *table = calloc(1, size);
	int r;

	if (!table)
		return -ENOMEM;
	r = copy_entries(q, table);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < region->block_count; i++)
		put_be64(table + (region->first_index + i) * 8,
			 offset_of(&q->geometry, region->first_cluster + i));
	return hostfile_write(q->file, table, size,
			      offset_of(&q->geometry, payload_cluster(region)));
}

/* Half as much again as is needed, so that moving stays rare. */
static uint64_t table_clusters_for(const struct qcow2 *q, uint64_t entries)
{
	return units_of((entries + entries / 2) * 8, q->geometry.cluster_bits);
}

/* Find sizes of the table and of the blocks that suffice for each other. */
static int plan_table(const struct qcow2 *q, uint64_t host_cluster, struct region *ret)
{
	uint64_t index =
		max_u64(qcow2_reftable_entries(q), block_index(&q->geometry, host_cluster));
	uint64_t clusters = table_clusters_for(q, index + 1);

	for (;;) {
		struct region region = plan_region(q, index, clusters);
		uint64_t needed = table_clusters_for(q, index + region.block_count);

		if (offset_of(&q->geometry, needed) > QCOW2_MAX_REFTABLE_BYTES)
			return -EFBIG;
		if (needed <= clusters) {
			*ret = region;
			return 0;
		}
		clusters = needed;
	}
}

/* What the new table leads to must be durable with it, also what was only in the cache. */
static int write_all_blocks(struct qcow2 *q)
{
	int r;

	cache_freeze(&q->cache, STAGE_REFCOUNTS);
	r = cache_write_frozen(&q->cache, STAGE_REFCOUNTS);
	return r < 0 ? r : hostfile_sync(q->file);
}

static int switch_table(struct qcow2 *q, const struct region *region)
{
	uint64_t new_offset = offset_of(&q->geometry, payload_cluster(region));
	uint8_t fields[12];
	int r;

	put_be64(fields, new_offset);
	put_be32(fields + 8, (uint32_t)region->payload);
	r = qcow2_write_header(q, fields, sizeof(fields), QCOW2_AT_REFTABLE_OFFSET);
	if (r < 0)
		return r;
	q->header.reftable_offset = new_offset;
	q->header.reftable_clusters = (uint32_t)region->payload;
	return 0;
}

int qcow2_grow_reftable(struct qcow2 *q, uint64_t host_cluster)
{
	uint64_t old_offset = q->header.reftable_offset;
	struct run old = { cluster_of(&q->geometry, old_offset), q->header.reftable_clusters };
	struct region region = { 0 };
	struct run blocks;
	int r;

	r = qcow2_check_counted(q, old);
	if (r == 0)
		r = plan_table(q, host_cluster, &region);
	if (r < 0)
		return r;
	blocks = (struct run){ region.first_cluster, region.block_count };
	r = claim_region(q, &region);
	if (r == 0)
		r = write_table(q, &region);
	if (r == 0)
		r = write_all_blocks(q);
	if (r == 0)
		r = run_set_add(&q->tables, blocks);
	if (r < 0)
		return r;
	r = switch_table(q, &region);
	if (r < 0) {
		(void)run_set_remove(&q->tables, blocks);
		return r;
	}
	cache_forget(&q->cache, old_offset, offset_of(&q->geometry, old.count));
	qcow2_unlink(q, old);
	return 0;
}

/* ---- other tables ---- */

/* The first index of the refcount table behind the last one in use. */
static int first_unused_index(struct qcow2 *q, uint64_t *ret)
{
	uint64_t size = offset_of(&q->geometry, q->header.reftable_clusters);
	size_t slice_size = q->geometry.slice_size;

	for (uint64_t at = size; at > 0; at -= slice_size) {
		struct slice *slice;
		uint64_t index = at / 8;
		size_t left = slice_size / 8;
		int r;

		r = cache_get(&q->cache, q->header.reftable_offset + at - slice_size,
			      STAGE_REFTABLE, &slice);
		if (r < 0)
			return r;
		while (left > 0 && get_be64(slice->data + (left - 1) * 8) == 0) {
			left--;
			index--;
		}
		cache_put(&q->cache, slice);
		if (left > 0) {
			*ret = index;
			return 0;
		}
	}
	*ret = 0;
	return 0;
}

/* Plan a region that the refcount table has room for, and let it grow where it has not. */
static int plan_payload(struct qcow2 *q, uint64_t count, struct region *ret)
{
	for (;;) {
		struct region region;
		uint64_t index = 0;
		int r;

		r = first_unused_index(q, &index);
		if (r < 0)
			return r;
		region = plan_region(q, index, count);
		if (region.first_index + region.block_count <= qcow2_reftable_entries(q)) {
			*ret = region;
			return 0;
		}
		r = qcow2_grow_reftable(q, region.first_cluster + region.block_count + count);
		if (r < 0)
			return r;
	}
}

int qcow2_allocate_region(struct qcow2 *q, uint64_t count, struct run *ret)
{
	struct region region = { 0 };
	int r;

	r = plan_payload(q, count, &region);
	if (r == 0)
		r = claim_region(q, &region);
	for (uint64_t i = 0; i < region.block_count && r == 0; i++)
		r = qcow2_set_reftable_entry(q, region.first_index + i,
					     offset_of(&q->geometry, region.first_cluster + i));
	if (r < 0)
		return r;
	*ret = (struct run){ payload_cluster(&region), count };
	return 0;
}
