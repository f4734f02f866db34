/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing in two phases: host space for guest clusters, and, once data is in place there, the table
 * entries that point to it (I3). Between the two an allocation is in flight, and whoever wants the
 * same guest clusters waits (I4). A write in place has nothing to link, and nobody who writes waits
 * for it; but whoever zeroes does.
 */
#include "qcow2.h"

#include "lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct driver_allocation {
	struct list link; /* in q->allocations, or q->in_place */
	struct run guest; /* clusters */
	uint64_t host_first;
	bool in_place;   /* that is all of it */
	bool reserved;   /* the entries point there already */
	struct run data; /* guest subclusters that will hold data, from the disk's start */
};

/* ---- allocations in flight ---- */

/* How many clusters from @first on, at most @count, no one in a list has. */
static uint64_t free_of(const struct list *list, uint64_t first, uint64_t count)
{
	list_for_each(link, list) {
		const struct driver_allocation *other =
			list_entry(link, struct driver_allocation, link);

		if (other->guest.first <= first && first - other->guest.first < other->guest.count)
			return 0;
		if (other->guest.first > first)
			count = min_u64(count, other->guest.first - first);
	}
	return count;
}

/* How many clusters have one of @count subclusters from the @start-th of the first cluster on. */
static uint64_t clusters_touched(const struct qcow2_geometry *geometry, unsigned int start,
				 uint64_t count)
{
	return (start + count + geometry->subclusters - 1) / geometry->subclusters;
}

uint64_t qcow2_wait_for_allocations(struct qcow2 *q, uint64_t guest_offset, uint64_t count)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	unsigned int start = subcluster_index(geometry, guest_offset);
	uint64_t first = cluster_of(geometry, guest_offset);
	uint64_t clusters = clusters_touched(geometry, start, count);
	uint64_t free;

	while ((free = free_of(&q->allocations, first, clusters)) == 0)
		pthread_cond_wait(&q->allocation_ended, &q->meta);
	return min_u64(count, free * geometry->subclusters - start);
}

/* Wait for the writes in place in one cluster. Meanwhile it is as if it were being allocated. */
static void wait_for_writes_in_place(struct qcow2 *q, uint64_t guest_cluster)
{
	struct driver_allocation claim = { .guest = { guest_cluster, 1 } };

	list_append(&q->allocations, &claim.link);
	while (free_of(&q->in_place, guest_cluster, 1) == 0)
		pthread_cond_wait(&q->allocation_ended, &q->meta);
	list_remove(&claim.link);
	pthread_cond_broadcast(&q->allocation_ended);
}

uint64_t qcow2_wait_for_writes(struct qcow2 *q, uint64_t guest_offset, uint64_t count)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	unsigned int start = subcluster_index(geometry, guest_offset);
	uint64_t first = cluster_of(geometry, guest_offset), free;

	count = qcow2_wait_for_allocations(q, guest_offset, count);
	free = free_of(&q->in_place, first, clusters_touched(geometry, start, count));
	if (free == 0) {
		wait_for_writes_in_place(q, first);
		free = 1;
	}
	return min_u64(count, free * geometry->subclusters - start);
}

static void end_allocation(struct qcow2 *q, struct driver_allocation *allocation)
{
	list_remove(&allocation->link);
	free(allocation);
	pthread_cond_broadcast(&q->allocation_ended);
}

/* ---- begin ---- */

static struct run guest_clusters(const struct qcow2_geometry *geometry,
				 const struct driver_write *write)
{
	uint64_t first = cluster_of(geometry, write->guest_offset);
	uint64_t end = units_of(write->guest_offset + write->length, geometry->cluster_bits);

	return (struct run){ first, end - first };
}

/*
 * Register an allocation of clusters from @host_first on for what @write covers, and name what else
 * must be filled: up to the boundaries of @unit bytes.
 */
static int begin_allocation(struct qcow2 *q, uint64_t host_first, bool reserved, uint64_t unit,
			    struct driver_write *write)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	struct driver_allocation *allocation = calloc(1, sizeof(*allocation));
	uint64_t end = write->guest_offset + write->length;
	uint64_t fill_start = align_down(write->guest_offset, unit);
	uint64_t fill_end = align_up(end, unit);

	if (!allocation)
		return -ENOMEM;
	allocation->guest = guest_clusters(geometry, write);
	allocation->host_first = host_first;
	allocation->reserved = reserved;
	allocation->data.first = fill_start >> geometry->subcluster_bits;
	allocation->data.count = (fill_end - fill_start) >> geometry->subcluster_bits;
	list_append(&q->allocations, &allocation->link);
	write->allocation = allocation;
	write->head = write->guest_offset - fill_start;
	write->tail = fill_end - end;
	return 0;
}

/* Register a write to where the entries point already, see I4. */
static int begin_in_place(struct qcow2 *q, struct driver_write *write)
{
	struct driver_allocation *allocation = calloc(1, sizeof(*allocation));

	if (!allocation)
		return -ENOMEM;
	allocation->in_place = true;
	allocation->guest = guest_clusters(&q->geometry, write);
	list_append(&q->in_place, &allocation->link);
	write->allocation = allocation;
	return 0;
}

/* Host clusters for @count guest clusters from that of @guest_offset on, or fewer. */
static int allocate_clusters(struct qcow2 *q, uint64_t guest_offset, uint64_t count,
			     struct run *ret, bool *ret_fresh)
{
	if (!q->geometry.external_data)
		return qcow2_allocate(q, count, ret, ret_fresh);
	/* In a data file every guest cluster has its place. It may hold anything so far. */
	*ret = (struct run){ cluster_of(&q->geometry, guest_offset), count };
	*ret_fresh = false;
	return 0;
}

/* Find space for a write over what @old says, where that cannot be written in place. */
static int allocate_new(struct qcow2 *q, const struct l2_entry *old, struct driver_write *write)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	/* What is in another host cluster must come along; else the subclusters written will do. */
	bool whole = old->has_host || old->kind == SUBCLUSTER_COMPRESSED;
	uint64_t into = into_cluster(geometry, write->guest_offset);
	struct slice *slice;
	struct run host;
	size_t index;
	int r;

	/* Get the table now: that it cannot be had should be known before data is written. */
	r = qcow2_own_l2_slice(q, write->guest_offset, &slice, &index);
	if (r < 0)
		return r;
	cache_put(&q->cache, slice);
	r = allocate_clusters(q, write->guest_offset,
			      units_of(into + write->length, geometry->cluster_bits), &host,
			      &write->fresh);
	if (r < 0)
		return r;
	write->host_offset = offset_of(geometry, host.first) + into;
	write->length = min_u64(write->length, offset_of(geometry, host.count) - into);
	r = begin_allocation(
		q, host.first, false,
		whole ? geometry->cluster_size : UINT64_C(1) << geometry->subcluster_bits, write);
	if (r < 0 && !geometry->external_data)
		qcow2_take_back(q, host);
	return r;
}

static int find_space(struct qcow2 *q, uint64_t guest_offset, uint64_t length,
		      struct driver_write *ret)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	uint64_t count = subclusters_touched(geometry, guest_offset, length);
	struct l2_entry entry;
	int r;

	count = qcow2_wait_for_allocations(q, guest_offset, count);
	r = qcow2_look_up(q, guest_offset, &count, &entry);
	if (r < 0)
		return r;
	ret->guest_offset = guest_offset;
	ret->length = min_u64(length, (count << geometry->subcluster_bits) -
					      into_subcluster(geometry, guest_offset));
	ret->file = qcow2_data(q);
	/* Before anything is allocated: what is in use and called free would be handed out. */
	if (!geometry->external_data)
		r = qcow2_check_entry(q, &entry,
				      units_of(into_cluster(geometry, guest_offset) + ret->length,
					       geometry->cluster_bits));
	if (r < 0)
		return r;
	if (!entry.copied)
		return allocate_new(q, &entry, ret);
	ret->host_offset = entry.host_offset + into_cluster(geometry, guest_offset);
	if (!geometry->external_data && qcow2_check_overlap(q, ret->host_offset, ret->length) < 0)
		return qcow2_corrupt(q,
				     "the cluster of guest offset 0x%" PRIx64 ", at 0x%" PRIx64
				     ", lies over a table",
				     guest_offset, ret->host_offset);
	if (entry.kind == SUBCLUSTER_NORMAL)
		return begin_in_place(q, ret);
	return begin_allocation(q, cluster_of(geometry, entry.host_offset), true,
				UINT64_C(1) << geometry->subcluster_bits, ret);
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

/* The entry of the @nth cluster of an allocation, where @old is what it was. */
static struct l2_raw new_entry(const struct qcow2 *q, const struct driver_allocation *allocation,
			       uint64_t nth, struct l2_raw old)
{
	unsigned int subclusters = q->geometry.subclusters;
	uint64_t start = (allocation->guest.first + nth) * subclusters;
	uint64_t first = max_u64(start, allocation->data.first);
	uint64_t end =
		min_u64(start + subclusters, allocation->data.first + allocation->data.count);

	return l2_with_data(&q->geometry, old,
			    offset_of(&q->geometry, allocation->host_first + nth),
			    (unsigned int)(first - start), (unsigned int)(end - first));
}

/*
 * Point the entries of one slice to the data, from the *done-th cluster on. Moves *done
 * on: after an error, to the cluster that it failed at.
 */
static int link_slice(struct qcow2 *q, const struct driver_allocation *allocation, uint64_t *done)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	uint64_t guest_cluster = allocation->guest.first + *done;
	struct slice *slice;
	uint64_t count;
	size_t index;
	int r;

	r = qcow2_change_l2_slice(q, offset_of(geometry, guest_cluster), &slice, &index);
	if (r < 0)
		return r;
	count = min_u64(allocation->guest.count - *done, entries_per_slice(geometry) - index);
	for (uint64_t i = 0; i < count; i++) {
		struct l2_raw old = l2_load(geometry, slice->data, index + i);

		/* A data file keeps each guest cluster where it was: there is nothing to let go. */
		if (!allocation->reserved && !geometry->external_data)
			r = qcow2_unlink_entry(q, old, offset_of(geometry, guest_cluster + i));
		if (r < 0)
			break;
		l2_store(geometry, slice->data, index + i, new_entry(q, allocation, *done, old));
		(*done)++;
	}
	cache_put(&q->cache, slice);
	return r;
}

static int link_allocation(struct qcow2 *q, const struct driver_allocation *allocation,
			   uint64_t *done)
{
	int r = 0;

	while (*done < allocation->guest.count && r == 0)
		r = link_slice(q, allocation, done);
	return r;
}

int qcow2_write_end(struct imgfmt_image *image, struct driver_write *write, int result)
{
	struct driver_allocation *allocation = write->allocation;
	struct qcow2 *q = qcow2_of(image);
	LOCKED(&q->meta);
	uint64_t done = 0;

	if (allocation->in_place) {
		end_allocation(q, allocation);
		return result;
	}
	if (result == 0)
		result = link_allocation(q, allocation, &done);
	if (result < 0 && !allocation->reserved && !q->geometry.external_data &&
	    done < allocation->guest.count)
		qcow2_take_back(q, (struct run){ allocation->host_first + done,
						 allocation->guest.count - done });
	end_allocation(q, allocation);
	return result;
}
