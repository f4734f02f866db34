/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing in two phases: host space for guest clusters, and, once data is in place there, the table
 * entries that point to it (I3). Between the two an allocation is in flight, and whoever wants the
 * same guest clusters waits (I4).
 */
#include "qcow2.h"

#include "bytes.h"
#include "lock.h"

#include <errno.h>
#include <stdlib.h>

struct driver_allocation {
	struct list link; /* in q->allocations */
	struct run guest; /* clusters */
	uint64_t host_first;
	bool reserved;    /* the entries point there already, with the zero flag set */
};

/* ---- allocations in flight ---- */

/* How many clusters from @first on, at most @count, no allocation in flight has. */
static uint64_t free_of_allocations(const struct qcow2 *q, uint64_t first, uint64_t count)
{
	list_for_each(link, &q->allocations) {
		const struct driver_allocation *other =
			list_entry(link, struct driver_allocation, link);

		if (other->guest.first <= first && first - other->guest.first < other->guest.count)
			return 0;
		if (other->guest.first > first)
			count = min_u64(count, other->guest.first - first);
	}
	return count;
}

uint64_t qcow2_wait_for_allocations(struct qcow2 *q, uint64_t first, uint64_t count)
{
	uint64_t free;

	while ((free = free_of_allocations(q, first, count)) == 0)
		pthread_cond_wait(&q->allocation_ended, &q->meta);
	return free;
}

static void end_allocation(struct qcow2 *q, struct driver_allocation *allocation)
{
	list_remove(&allocation->link);
	free(allocation);
	pthread_cond_broadcast(&q->allocation_ended);
}

/* ---- begin ---- */

/* Say where the data goes: to clusters from @host_offset on that hold @count guest clusters. */
static void set_target(const struct qcow2 *q, uint64_t guest_offset, uint64_t length,
		       uint64_t host_offset, uint64_t count, struct driver_write *ret)
{
	uint64_t into = into_cluster(&q->geometry, guest_offset);
	uint64_t space = offset_of(&q->geometry, count) - into;

	ret->guest_offset = guest_offset;
	ret->length = min_u64(length, space);
	ret->file = q->file;
	ret->host_offset = host_offset + into;
}

/* Register an allocation, and name what else the new clusters need. */
static int begin_allocation(struct qcow2 *q, struct run guest, uint64_t host_first, bool reserved,
			    struct driver_write *write)
{
	struct driver_allocation *allocation = calloc(1, sizeof(*allocation));

	if (!allocation)
		return -ENOMEM;
	allocation->guest = guest;
	allocation->host_first = host_first;
	allocation->reserved = reserved;
	list_append(&q->allocations, &allocation->link);
	write->allocation = allocation;
	write->head = into_cluster(&q->geometry, write->guest_offset);
	write->tail = offset_of(&q->geometry, guest.first + guest.count) -
		      (write->guest_offset + write->length);
	return 0;
}

/* Space for @guest clusters, the first of which holds @guest_offset: new host clusters. */
static int allocate_new(struct qcow2 *q, struct run guest, uint64_t guest_offset, uint64_t length,
			struct driver_write *ret)
{
	struct slice *slice;
	struct run host;
	size_t index;
	int r;

	/* Get the table now: that it cannot be had should be known before data is written. */
	r = qcow2_own_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	cache_put(&q->cache, slice);
	r = qcow2_allocate(q, guest.count, &host, &ret->fresh);
	if (r < 0)
		return r;
	guest.count = host.count;
	set_target(q, guest_offset, length, offset_of(&q->geometry, host.first), host.count, ret);
	r = begin_allocation(q, guest, host.first, false, ret);
	if (r < 0)
		qcow2_take_back(q, host);
	return r;
}

static int find_space(struct qcow2 *q, uint64_t guest_offset, uint64_t length,
		      struct driver_write *ret)
{
	unsigned int cluster_bits = q->geometry.cluster_bits;
	struct run guest = {
		.first = guest_offset >> cluster_bits,
		.count = units_of(into_cluster(&q->geometry, guest_offset) + length, cluster_bits),
	};
	struct l2_entry entry;
	int r;

	guest.count = qcow2_wait_for_allocations(q, guest.first, guest.count);
	r = qcow2_look_up(q, guest_offset, &guest.count, &entry);
	if (r < 0)
		return r;
	if (!entry.copied)
		return allocate_new(q, guest, guest_offset, length, ret);
	set_target(q, guest_offset, length, entry.host_offset, guest.count, ret);
	r = qcow2_check_overlap(q, ret->host_offset, ret->length);
	if (r < 0 || entry.kind == CLUSTER_NORMAL)
		return r;
	return begin_allocation(q, guest, cluster_of(&q->geometry, entry.host_offset), true, ret);
}

int qcow2_write_begin(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		      struct driver_write *ret)
{
	struct qcow2 *q = qcow2_of(image);
	int r;

	r = qcow2_relieve(q);
	if (r < 0)
		return r;
	LOCKED(&q->meta);
	r = qcow2_start_writing(q);
	return r < 0 ? r : find_space(q, guest_offset, length, ret);
}

/* ---- end ---- */

/* Point the entries of one slice to the new clusters. Sets *ret to how many. */
static int link_slice(struct qcow2 *q, const struct driver_allocation *allocation, uint64_t done,
		      uint64_t *ret)
{
	uint64_t guest_offset = offset_of(&q->geometry, allocation->guest.first + done);
	uint64_t host_cluster = allocation->host_first + done;
	struct slice *slice;
	uint64_t count;
	size_t index;
	int r;

	r = qcow2_own_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	count = min_u64(allocation->guest.count - done, q->geometry.slice_size / 8 - index);
	r = cache_modify(&q->cache, slice);
	for (uint64_t i = 0; i < count && r == 0; i++) {
		uint8_t *bytes = slice->data + (index + i) * 8;
		struct l2_entry old;

		if (!allocation->reserved &&
		    l2_entry_parse(&q->geometry, q->header.version, get_be64(bytes), &old) == 0)
			qcow2_unlink_entry(q, &old);
		put_be64(bytes, offset_of(&q->geometry, host_cluster + i) | QCOW2_FLAG_COPIED);
	}
	cache_put(&q->cache, slice);
	*ret = count;
	return r;
}

static int link_allocation(struct qcow2 *q, const struct driver_allocation *allocation,
			   uint64_t *ret_done)
{
	while (*ret_done < allocation->guest.count) {
		uint64_t count;
		int r;

		r = link_slice(q, allocation, *ret_done, &count);
		if (r < 0)
			return r;
		*ret_done += count;
	}
	return 0;
}

int qcow2_write_end(struct imgfmt_image *image, struct driver_write *write, int result)
{
	struct driver_allocation *allocation = write->allocation;
	struct qcow2 *q = qcow2_of(image);
	LOCKED(&q->meta);
	uint64_t done = 0;

	if (result == 0)
		result = link_allocation(q, allocation, &done);
	if (result < 0 && !allocation->reserved && done < allocation->guest.count)
		qcow2_take_back(q, (struct run){ allocation->host_first + done,
						 allocation->guest.count - done });
	end_allocation(q, allocation);
	return result;
}
