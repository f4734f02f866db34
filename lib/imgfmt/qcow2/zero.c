/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making whole clusters read as zeroes by what their entries say, and dropping clusters.
 */
#include "qcow2.h"

#include "bytes.h"
#include "lock.h"

/* What is to become of an entry. */
enum fate {
	FATE_STAYS,
	FATE_ZERO_KEEPS, /* the zero flag, and the host cluster stays in reserve */
	FATE_ZERO_PLAIN, /* the zero flag, and the host cluster is freed */
	FATE_CLEARED,    /* nothing at all, and the host cluster is freed */
	FATE_IMPOSSIBLE, /* only zeroes as data will do */
};

/*
 * Version 2 has no zero flag: there an entry of 0 has to do, which would show a backing file. What
 * is zero without taking space stays, as with qemu-img.
 */
static enum fate zero_fate(const struct qcow2 *q, const struct l2_entry *entry,
			   enum imgfmt_zero_mode mode)
{
	if (entry->kind == CLUSTER_ZERO_PLAIN)
		return FATE_STAYS;
	if (entry->kind == CLUSTER_UNALLOCATED && !q->has_backing)
		return FATE_STAYS;
	if (q->header.version < 3)
		return q->has_backing ? FATE_IMPOSSIBLE : FATE_CLEARED;
	if (mode == IMGFMT_ZERO_KEEP && entry->copied)
		return entry->kind == CLUSTER_ZERO_ALLOCATED ? FATE_STAYS : FATE_ZERO_KEEPS;
	return FATE_ZERO_PLAIN;
}

static uint64_t new_value(enum fate fate, uint64_t value)
{
	switch (fate) {
	case FATE_ZERO_KEEPS:
		return value | QCOW2_FLAG_ZERO;
	case FATE_ZERO_PLAIN:
		return QCOW2_FLAG_ZERO;
	case FATE_CLEARED:
		return 0;
	case FATE_STAYS:
	case FATE_IMPOSSIBLE:
		break;
	}
	return value;
}

/* Change entries that are alike, @count of them in one slice. */
static int change_entries(struct qcow2 *q, uint64_t guest_offset, uint64_t count, enum fate fate)
{
	struct slice *slice;
	size_t index;
	int r;

	r = qcow2_own_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	r = cache_modify(&q->cache, slice);
	for (uint64_t i = 0; i < count && r == 0; i++) {
		uint8_t *bytes = slice->data + (index + i) * 8;
		uint64_t value = get_be64(bytes);
		struct l2_entry old;

		if (fate != FATE_ZERO_KEEPS &&
		    l2_entry_parse(&q->geometry, q->header.version, value, &old) == 0)
			qcow2_unlink_entry(q, &old);
		put_be64(bytes, new_value(fate, value));
	}
	cache_put(&q->cache, slice);
	return r;
}

/* Zero clusters that are alike, from @guest_offset on. Sets *count to how many; 0: it cannot. */
static int zero_clusters(struct qcow2 *q, uint64_t guest_offset, enum imgfmt_zero_mode mode,
			 uint64_t *count)
{
	struct l2_entry entry;
	enum fate fate;
	int r;

	r = qcow2_look_up(q, guest_offset, count, &entry);
	if (r < 0)
		return r;
	fate = zero_fate(q, &entry, mode);
	if (fate == FATE_IMPOSSIBLE)
		*count = 0;
	if (fate == FATE_IMPOSSIBLE || fate == FATE_STAYS)
		return 0;
	return change_entries(q, guest_offset, *count, fate);
}

/* One run of clusters a call: the caller comes back, and others get their turn in between. */
int qcow2_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	struct qcow2 *q = qcow2_of(image);
	uint64_t count = units_of(length, q->geometry.cluster_bits);
	int r;

	r = qcow2_relieve(q);
	if (r < 0)
		return r;
	LOCKED(&q->meta);
	r = qcow2_start_writing(q);
	if (r < 0)
		return r;
	count = qcow2_wait_for_allocations(q, guest_offset >> q->geometry.cluster_bits, count);
	r = zero_clusters(q, guest_offset, mode, &count);
	if (r < 0)
		return r;
	*ret_length = min_u64(length, offset_of(&q->geometry, count));
	return 0;
}

/* Drop clusters that are alike, from @first on. Sets *count to how many. */
static int drop_some(struct qcow2 *q, uint64_t first, uint64_t *count)
{
	LOCKED(&q->meta);
	uint64_t guest_offset = offset_of(&q->geometry, first);
	struct l2_entry entry;
	int r;

	r = qcow2_look_up(q, guest_offset, count, &entry);
	if (r < 0 || entry.kind == CLUSTER_UNALLOCATED)
		return r;
	return change_entries(q, guest_offset, *count, FATE_CLEARED);
}

int qcow2_drop_clusters(struct qcow2 *q, struct run guest_clusters)
{
	while (guest_clusters.count > 0) {
		uint64_t count = guest_clusters.count;
		int r;

		r = qcow2_relieve(q);
		if (r == 0)
			r = drop_some(q, guest_clusters.first, &count);
		if (r < 0)
			return r;
		guest_clusters.first += count;
		guest_clusters.count -= count;
	}
	return 0;
}
