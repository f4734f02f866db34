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
#include <stdlib.h>

/* Pin the slice with entry @index, of 8 bytes, of the table at @table_offset. */
static int get_table_slice(struct qcow2 *q, uint64_t table_offset, uint64_t index,
			   struct slice **ret, size_t *ret_index)
{
	uint64_t into_table = index * 8;
	uint64_t slice_offset = align_down(into_table, q->geometry.slice_size);

	*ret_index = (size_t)(into_table - slice_offset) / 8;
	return cache_get(&q->cache, table_offset + slice_offset, STAGE_MAP, ret);
}

static int get_l1_slice(struct qcow2 *q, uint64_t guest_offset, struct slice **ret,
			size_t *ret_index)
{
	uint64_t index = l1_index(&q->geometry, guest_offset);

	assert(index < q->header.l1_size);
	return get_table_slice(q, q->header.l1_offset, index, ret, ret_index);
}

int qcow2_get_l1(struct qcow2 *q, uint64_t guest_offset, struct l1_entry *ret)
{
	struct slice *slice;
	size_t index;
	int r;

	r = get_l1_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	r = l1_entry_parse(&q->geometry, get_be64(slice->data + index * 8), ret);
	cache_put(&q->cache, slice);
	return r;
}

int qcow2_get_l2_slice(struct qcow2 *q, uint64_t l2_offset, uint64_t guest_offset,
		       struct slice **ret, size_t *ret_index)
{
	return get_table_slice(q, l2_offset, l2_index(&q->geometry, guest_offset), ret, ret_index);
}

int qcow2_look_up(struct qcow2 *q, uint64_t guest_offset, uint64_t *count, struct l2_entry *ret)
{
	size_t in_slice = q->geometry.slice_size / 8;
	uint64_t into_slice = l2_index(&q->geometry, guest_offset) & (in_slice - 1);
	struct l1_entry l1;
	struct slice *slice;
	size_t index;
	int r;

	*count = min_u64(*count, in_slice - into_slice);
	r = qcow2_get_l1(q, guest_offset, &l1);
	if (r < 0)
		return r;
	if (l1.l2_offset == 0) {
		*ret = (struct l2_entry){ .kind = CLUSTER_UNALLOCATED };
		return 0;
	}
	r = qcow2_get_l2_slice(q, l1.l2_offset, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	r = qcow2_entry_run(q, slice, index, *count, ret, count);
	cache_put(&q->cache, slice);
	/* What a table that is shared points to is shared, whatever its entries say. */
	if (!l1.copied)
		ret->copied = false;
	return r;
}

/* Does @next, @distance clusters behind @first, say the same? */
static bool continues(const struct qcow2 *q, const struct l2_entry *first,
		      const struct l2_entry *next, uint64_t distance)
{
	if (next->kind != first->kind || next->copied != first->copied)
		return false;
	switch (first->kind) {
	case CLUSTER_UNALLOCATED:
	case CLUSTER_ZERO_PLAIN:
		return true;
	case CLUSTER_NORMAL:
	case CLUSTER_ZERO_ALLOCATED:
		return next->host_offset == first->host_offset + offset_of(&q->geometry, distance);
	case CLUSTER_COMPRESSED:
		return false;
	}
	return false;
}

int qcow2_entry_run(struct qcow2 *q, const struct slice *slice, size_t index, uint64_t count,
		    struct l2_entry *ret, uint64_t *ret_count)
{
	size_t in_slice = q->geometry.slice_size / 8 - index;
	uint32_t version = q->header.version;
	uint64_t n;
	int r;

	r = l2_entry_parse(&q->geometry, version, get_be64(slice->data + index * 8), ret);
	if (r < 0)
		return r;
	count = min_u64(count, in_slice);
	for (n = 1; n < count; n++) {
		struct l2_entry next;

		/* An entry that is wrong is met again, as the first of its run, by who needs it. */
		if (l2_entry_parse(&q->geometry, version,
				   get_be64(slice->data + (index + n) * 8), &next) < 0)
			break;
		if (!continues(q, ret, &next, n))
			break;
	}
	*ret_count = n;
	return 0;
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

static int link_l2_table(struct qcow2 *q, uint64_t guest_offset, uint64_t l2_offset)
{
	struct slice *slice;
	size_t index;
	int r;

	r = get_l1_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	r = cache_modify(&q->cache, slice);
	if (r == 0)
		put_be64(slice->data + index * 8, l2_offset | QCOW2_FLAG_COPIED);
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
		r = link_l2_table(q, guest_offset, new_offset);
	if (r < 0) {
		qcow2_take_back(q, run);
		return r;
	}
	if (old_offset != 0) {
		cache_forget(&q->cache, old_offset, q->geometry.cluster_size);
		qcow2_unlink(q, (struct run){ cluster_of(&q->geometry, old_offset), 1 });
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
	} else {
		r = qcow2_check_fixed(q, l1.l2_offset, q->geometry.cluster_size);
		if (r < 0)
			return r;
	}
	return qcow2_get_l2_slice(q, l1.l2_offset, guest_offset, ret, ret_index);
}
