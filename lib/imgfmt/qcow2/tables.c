/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two-level map of guest clusters: looking entries up, and getting an L2 table of one's own to
 * change entries in.
 */
#include "qcow2.h"

#include "bytes.h"
#include "cleanup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Pin the slice with entry @index, of 2^@entry_bits bytes, of the table at @table_offset. */
static int get_table_slice(struct qcow2 *q, uint64_t table_offset, uint64_t index,
			   unsigned int entry_bits, struct slice **ret, size_t *ret_index)
{
	uint64_t into_table = index << entry_bits;
	uint64_t slice_offset = align_down(into_table, q->geometry.slice_size);

	*ret_index = (size_t)(into_table - slice_offset) >> entry_bits;
	return cache_get(&q->cache, table_offset + slice_offset, STAGE_MAP, ret);
}

static int get_l1_slice(struct qcow2 *q, uint64_t guest_offset, struct slice **ret,
			size_t *ret_index)
{
	uint64_t index = l1_index(&q->geometry, guest_offset);

	assert(index < q->header.l1_size);
	return get_table_slice(q, q->header.l1_offset, index, 3, ret, ret_index);
}

int qcow2_get_l1(struct qcow2 *q, uint64_t guest_offset, struct l1_entry *ret)
{
	struct slice *slice;
	uint64_t entry;
	size_t index;
	int r;

	r = get_l1_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	qcow2_check_end(q, QCOW2_IMAGE_FILE, slice->host_offset, 1, guest_offset);
	entry = get_be64(slice->data + index * 8);
	cache_put(&q->cache, slice);
	r = l1_entry_parse(&q->geometry, entry, ret);
	if (r == -EUCLEAN)
		return qcow2_corrupt(
			q, "L1 entry %" PRIu64 " is 0x%" PRIx64 ", not a cluster boundary",
			l1_index(&q->geometry, guest_offset), entry);
	return r;
}

int qcow2_get_l2_slice(struct qcow2 *q, uint64_t l2_offset, uint64_t guest_offset,
		       struct slice **ret, size_t *ret_index)
{
	return get_table_slice(q, l2_offset, l2_index(&q->geometry, guest_offset),
			       q->geometry.entry_bits, ret, ret_index);
}

/* Does @next, in a cluster that many behind the one of @first, say the same? */
static bool continues(const struct qcow2 *q, const struct l2_entry *first,
		      const struct l2_entry *next, uint64_t clusters)
{
	if (next->kind != first->kind || next->copied != first->copied ||
	    next->has_host != first->has_host)
		return false;
	if (first->kind == SUBCLUSTER_COMPRESSED)
		return clusters == 0;
	return !first->has_host ||
	       next->host_offset == first->host_offset + offset_of(&q->geometry, clusters);
}

/* Parse subclusters from @guest_offset on, at most *count of a slice, while they say the same. */
static int parse_run(struct qcow2 *q, const struct slice *slice, size_t index,
		     uint64_t guest_offset, uint64_t *count, struct l2_entry *ret)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	struct l2_raw raw = l2_load(geometry, slice->data, index);
	unsigned int start = subcluster_index(geometry, guest_offset);
	uint64_t n;
	int r;

	r = l2_parse(geometry, raw, guest_offset, start, ret);
	if (r == -EUCLEAN)
		return qcow2_corrupt(q,
				     "L2 entry of guest offset 0x%" PRIx64 ", at 0x%" PRIx64
				     ", is 0x%" PRIx64 " (0x%" PRIx64 ")",
				     guest_offset,
				     slice->host_offset + ((uint64_t)index << geometry->entry_bits),
				     raw.descriptor, raw.bitmap);
	if (r < 0)
		return r;
	for (n = 1; n < *count; n++) {
		uint64_t cluster = (start + n) / geometry->subclusters;
		unsigned int subcluster = (unsigned int)((start + n) % geometry->subclusters);
		struct l2_entry next;

		/* What is wrong is met again, as the first of its run, by who needs it. */
		if (l2_parse(geometry, l2_load(geometry, slice->data, index + cluster),
			     guest_offset + offset_of(geometry, cluster), subcluster, &next) < 0)
			break;
		if (!continues(q, ret, &next, cluster))
			break;
	}
	*count = n;
	return 0;
}

int qcow2_look_up(struct qcow2 *q, uint64_t guest_offset, uint64_t *count, struct l2_entry *ret)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	size_t entries = entries_per_slice(geometry);
	uint64_t into_slice = l2_index(geometry, guest_offset) & (entries - 1);
	struct l1_entry l1;
	struct slice *slice;
	size_t index;
	int r;

	*count = min_u64(*count, (entries - into_slice) * geometry->subclusters -
					 subcluster_index(geometry, guest_offset));
	r = qcow2_get_l1(q, guest_offset, &l1);
	if (r < 0)
		return r;
	if (l1.l2_offset == 0) {
		*ret = (struct l2_entry){ .kind = SUBCLUSTER_UNALLOCATED };
		return 0;
	}
	r = qcow2_get_l2_slice(q, l1.l2_offset, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	qcow2_check_end(q, QCOW2_IMAGE_FILE, l1.l2_offset, 1, guest_offset);
	r = parse_run(q, slice, index, guest_offset, count, ret);
	cache_put(&q->cache, slice);
	if (r == 0 && ret->kind == SUBCLUSTER_NORMAL)
		qcow2_check_end(q, QCOW2_DATA_FILE, ret->host_offset,
				units_of(subcluster_index(geometry, guest_offset) + *count,
					 geometry->cluster_bits - geometry->subcluster_bits),
				guest_offset);
	/* What a table that is shared points to is shared, whatever its entries say. */
	if (!l1.copied)
		ret->copied = false;
	return r;
}

bool qcow2_look_ahead(struct qcow2 *q, uint64_t guest_offset, struct l2_entry *ret)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	uint64_t next = guest_offset + geometry->cluster_size;
	struct slice *slice;
	struct l1_entry l1;
	bool right = false;
	size_t index;

	if (qcow2_get_l1(q, guest_offset, &l1) < 0 || l1.l2_offset == 0 ||
	    qcow2_get_l2_slice(q, l1.l2_offset, guest_offset, &slice, &index) < 0)
		return false;
	if (++index < entries_per_slice(geometry))
		right = l2_parse(geometry, l2_load(geometry, slice->data, index), next, 0, ret) ==
			0;
	cache_put(&q->cache, slice);
	return right;
}

/* Put the content of a new L2 table in place: a copy, or zeroes. Nothing points to it yet. */
static int fill_l2_table(struct qcow2 *q, uint64_t new_offset, uint64_t old_offset, bool fresh)
{
	size_t size = (size_t)q->geometry.cluster_size;
	_cleanup_free_ uint8_t *table = NULL;
	int r;

	if (old_offset == 0 && fresh)
		return hostfile_extend(q->file, new_offset + size);
	if (old_offset == 0)
		return hostfile_zero(q->file, new_offset, size, false);
	table = malloc(size);
	if (!table)
		return -ENOMEM;
	/* A table that is shared is never changed, so what is in the file is what it holds. */
	r = hostfile_read(q->file, table, size, old_offset);
	if (r < 0)
		return r;
	return hostfile_write(q->file, table, size, new_offset);
}

static int let_go_of_l2_table(struct qcow2 *q, uint64_t l2_offset)
{
	struct run run = { cluster_of(&q->geometry, l2_offset), 1 };
	int r;

	r = qcow2_check_counted(q, run);
	if (r < 0)
		return r;
	cache_forget(&q->cache, l2_offset, q->geometry.cluster_size);
	/*
	 * If this lacks memory, the quarantine will find a table, and that is too much said. Leak
	 * it.
	 */
	if (run_set_remove(&q->tables, run) == 0)
		qcow2_unlink(q, run);
	return 0;
}

/* Point the L1 entry to a new table, and let go of the one that it pointed to, if any. */
static int link_l2_table(struct qcow2 *q, uint64_t guest_offset, uint64_t old_offset,
			 uint64_t new_offset)
{
	struct slice *slice;
	size_t index;
	int r;

	r = get_l1_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	r = cache_modify(&q->cache, slice);
	if (r == 0 && old_offset != 0)
		r = let_go_of_l2_table(q, old_offset);
	if (r == 0)
		put_be64(slice->data + index * 8, new_offset | QCOW2_FLAG_COPIED);
	cache_put(&q->cache, slice);
	return r;
}

/*
 * Make an L2 table with refcount 1 from none or from a shared one. Its content goes to the file at
 * once, so that it becomes durable in the same stage as data, before the L1 entry (I3).
 */
static int create_l2_table(struct qcow2 *q, uint64_t guest_offset, uint64_t old_offset,
			   uint64_t *ret)
{
	struct run run;
	uint64_t new_offset;
	bool fresh;
	int r;

	r = qcow2_allocate(q, 1, &run, &fresh);
	if (r < 0)
		return r;
	new_offset = offset_of(&q->geometry, run.first);
	r = fill_l2_table(q, new_offset, old_offset, fresh);
	if (r == 0)
		r = run_set_add(&q->tables, run);
	if (r == 0)
		r = link_l2_table(q, guest_offset, old_offset, new_offset);
	if (r < 0) {
		(void)run_set_remove(&q->tables, run);
		qcow2_take_back(q, run);
		return r;
	}
	*ret = new_offset;
	return 0;
}

int qcow2_own_l2_slice(struct qcow2 *q, uint64_t guest_offset, struct slice **ret,
		       size_t *ret_index)
{
	struct l1_entry l1;
	int r;

	r = qcow2_get_l1(q, guest_offset, &l1);
	if (r < 0)
		return r;
	if (l1.l2_offset == 0 || !l1.copied) {
		r = create_l2_table(q, guest_offset, l1.l2_offset, &l1.l2_offset);
		if (r < 0)
			return r;
	}
	return qcow2_get_l2_slice(q, l1.l2_offset, guest_offset, ret, ret_index);
}

int qcow2_change_l2_slice(struct qcow2 *q, uint64_t guest_offset, struct slice **ret,
			  size_t *ret_index)
{
	struct slice *slice;
	size_t index = 0;
	int r;

	r = qcow2_own_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	r = cache_modify(&q->cache, slice);
	if (r < 0) {
		cache_put(&q->cache, slice);
		return r;
	}
	*ret = slice;
	*ret_index = index;
	return 0;
}
