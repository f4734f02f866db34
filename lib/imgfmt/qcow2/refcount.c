/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refcounts: reading and changing them, and making the blocks and the table that hold them.
 *
 * Refcount blocks may reach the disk at any time: increments come before what needs them (I1), and
 * decrements are only made once nothing on disk needs the count any more (I2, quarantine.c).
 *
 * Where the refcount table has no block for a cluster, none of the clusters that the block would
 * describe is in use. So a new block takes the first of them for itself, and nothing recurses.
 */
#include "qcow2.h"

#include "bytes.h"

#include <errno.h>
#include <inttypes.h>

static int get_reftable_slice(struct qcow2 *q, uint64_t index, struct slice **ret,
			      size_t *ret_index)
{
	uint64_t into_table = index * 8;
	uint64_t slice_offset = align_down(into_table, q->geometry.slice_size);

	*ret_index = (size_t)(into_table - slice_offset) / 8;
	return cache_get(&q->cache, q->header.reftable_offset + slice_offset, STAGE_REFTABLE, ret);
}

/* Where the block with the refcount of a cluster lies; 0: there is none. */
static int find_block(struct qcow2 *q, uint64_t host_cluster, uint64_t *ret)
{
	uint64_t index = block_index(&q->geometry, host_cluster);
	struct slice *slice;
	uint64_t entry;
	size_t in_slice;
	int r;

	if (index >= qcow2_reftable_entries(q)) {
		*ret = 0;
		return 0;
	}
	r = get_reftable_slice(q, index, &slice, &in_slice);
	if (r < 0)
		return r;
	entry = get_be64(slice->data + in_slice * 8);
	cache_put(&q->cache, slice);
	r = reftable_entry_parse(&q->geometry, entry, ret);
	if (r == -EUCLEAN)
		return qcow2_corrupt(q,
				     "refcount table entry %" PRIu64 " is 0x%" PRIx64
				     ", not a cluster boundary",
				     index, entry);
	return r;
}

/* log2 of the refcounts in a slice of a block. */
static unsigned int slice_entry_bits(const struct qcow2 *q)
{
	return q->geometry.slice_bits + 3 - q->geometry.refcount_order;
}

/* Pin the slice of the block at @block_offset with the refcount of a cluster. */
static int get_block_slice(struct qcow2 *q, uint64_t block_offset, uint64_t host_cluster,
			   struct slice **ret, size_t *ret_index)
{
	uint64_t index = index_in_block(&q->geometry, host_cluster);
	uint64_t slice = index >> slice_entry_bits(q);

	*ret_index = (size_t)(index - (slice << slice_entry_bits(q)));
	return cache_get(&q->cache, block_offset + (slice << q->geometry.slice_bits),
			 STAGE_REFCOUNTS, ret);
}

/* How many refcounts there are from a cluster on in the same slice of a block. */
static uint64_t left_in_slice(const struct qcow2 *q, uint64_t host_cluster)
{
	uint64_t entries = UINT64_C(1) << slice_entry_bits(q);

	return entries - (host_cluster & (entries - 1));
}

int qcow2_get_refcount(struct qcow2 *q, uint64_t host_cluster, uint64_t *ret)
{
	uint64_t block;
	struct slice *slice;
	size_t index;
	int r;

	r = find_block(q, host_cluster, &block);
	if (r < 0)
		return r;
	if (block == 0) {
		*ret = 0;
		return 0;
	}
	r = get_block_slice(q, block, host_cluster, &slice, &index);
	if (r < 0)
		return r;
	*ret = refcount_load(slice->data, index, q->geometry.refcount_order);
	cache_put(&q->cache, slice);
	return 0;
}

int qcow2_count_refcounts(struct qcow2 *q, struct run run, uint64_t least, uint64_t most,
			  uint64_t *ret)
{
	unsigned int order = q->geometry.refcount_order;
	uint64_t limit = min_u64(run.count, left_in_slice(q, run.first));
	uint64_t block, n;
	struct slice *slice;
	size_t index;
	int r;

	r = find_block(q, run.first, &block);
	if (r < 0)
		return r;
	if (block == 0) {
		*ret = least == 0 ? limit : 0;
		return 0;
	}
	r = get_block_slice(q, block, run.first, &slice, &index);
	if (r < 0)
		return r;
	for (n = 0; n < limit; n++) {
		uint64_t refcount = refcount_load(slice->data, index + n, order);

		if (refcount < least || refcount > most)
			break;
	}
	cache_put(&q->cache, slice);
	*ret = n;
	return 0;
}

/* ---- growing ---- */

/* Set up an empty block at @block_offset that describes itself, from cluster @own on. */
static int init_block(struct qcow2 *q, uint64_t block_offset, uint64_t own)
{
	uint64_t cluster_size = q->geometry.cluster_size;
	struct slice *slice;
	size_t index;
	int r;

	if (qcow2_check_overlap(q, block_offset, cluster_size) < 0)
		return qcow2_corrupt(
			q, "refcounts call the cluster at 0x%" PRIx64 " free, where a table lies",
			block_offset);
	if (block_offset >= q->fresh_from)
		r = hostfile_extend(q->file, block_offset + cluster_size);
	else
		r = hostfile_zero(q->file, block_offset, cluster_size, false);
	if (r < 0)
		return r;
	q->fresh_from = max_u64(q->fresh_from, block_offset + cluster_size);
	r = get_block_slice(q, block_offset, own, &slice, &index);
	if (r < 0)
		return r;
	r = cache_modify(&q->cache, slice);
	if (r == 0)
		refcount_store(slice->data, index, q->geometry.refcount_order, 1);
	cache_put(&q->cache, slice);
	return r;
}

int qcow2_set_reftable_entry(struct qcow2 *q, uint64_t index, uint64_t block_offset)
{
	struct slice *slice;
	size_t in_slice;
	int r;

	r = get_reftable_slice(q, index, &slice, &in_slice);
	if (r < 0)
		return r;
	r = run_set_add(&q->tables, (struct run){ cluster_of(&q->geometry, block_offset), 1 });
	if (r == 0)
		r = cache_modify(&q->cache, slice);
	if (r == 0)
		put_be64(slice->data + in_slice * 8, block_offset);
	cache_put(&q->cache, slice);
	return r;
}

/* Make the block for a cluster that the table has room for but no block. */
static int create_block(struct qcow2 *q, uint64_t host_cluster)
{
	uint64_t index = block_index(&q->geometry, host_cluster);
	uint64_t own = index << q->geometry.block_bits;
	uint64_t block_offset = offset_of(&q->geometry, own);
	int r;

	if (block_offset + q->geometry.cluster_size - 1 > QCOW2_MAX_HOST_OFFSET)
		return -EFBIG;
	r = init_block(q, block_offset, own);
	if (r == 0)
		r = qcow2_set_reftable_entry(q, index, block_offset);
	if (r < 0)
		cache_forget(&q->cache, block_offset, q->geometry.cluster_size);
	return r;
}

int qcow2_ensure_block(struct qcow2 *q, uint64_t host_cluster)
{
	uint64_t block;
	int r;

	if (block_index(&q->geometry, host_cluster) >= qcow2_reftable_entries(q))
		return qcow2_grow_reftable(q, host_cluster);
	r = find_block(q, host_cluster, &block);
	if (r < 0 || block != 0)
		return r;
	return create_block(q, host_cluster);
}

/* ---- changing ---- */

/* Change the refcounts of @count clusters in one slice by one, or none of them. */
static int change_in_slice(struct qcow2 *q, uint64_t block, uint64_t first, uint64_t count,
			   bool raise)
{
	unsigned int order = q->geometry.refcount_order;
	uint64_t forbidden = raise ? refcount_max(&q->geometry) : 0;
	struct slice *slice;
	size_t index;
	int r;

	r = get_block_slice(q, block, first, &slice, &index);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < count && r == 0; i++)
		if (refcount_load(slice->data, index + i, order) == forbidden)
			r = -EUCLEAN;
	if (r == 0)
		r = cache_modify(&q->cache, slice);
	for (uint64_t i = 0; i < count && r == 0; i++) {
		uint64_t value = refcount_load(slice->data, index + i, order);

		refcount_store(slice->data, index + i, order, raise ? value + 1 : value - 1);
	}
	cache_put(&q->cache, slice);
	return r;
}

static int change_refcounts(struct qcow2 *q, struct run run, bool raise, uint64_t *ret_done)
{
	*ret_done = 0;
	while (*ret_done < run.count) {
		uint64_t first = run.first + *ret_done;
		uint64_t count = min_u64(run.count - *ret_done, left_in_slice(q, first));
		uint64_t block;
		int r;

		r = find_block(q, first, &block);
		if (r == 0)
			r = block ? change_in_slice(q, block, first, count, raise) : -EUCLEAN;
		if (r == -EUCLEAN)
			r = qcow2_corrupt(
				q,
				"refcounts of %" PRIu64 " cluster(s) from 0x%" PRIx64 " are too %s",
				count, offset_of(&q->geometry, first), raise ? "high" : "low");
		if (r < 0)
			return r;
		*ret_done += count;
	}
	return 0;
}

int qcow2_raise_refcounts(struct qcow2 *q, struct run run)
{
	uint64_t done, undone;
	int r;

	r = change_refcounts(q, run, true, &done);
	if (r < 0)
		change_refcounts(q, (struct run){ run.first, done }, false, &undone);
	return r;
}

int qcow2_lower_refcounts(struct qcow2 *q, struct run run)
{
	uint64_t done, undone;
	int r;

	r = change_refcounts(q, run, false, &done);
	if (r < 0)
		change_refcounts(q, (struct run){ run.first, done }, true, &undone);
	if (done > 0)
		q->free_hint = min_u64(q->free_hint, run.first);
	return r;
}
