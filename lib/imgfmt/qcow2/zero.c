/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making whole clusters read as zeroes by what their entries say, and dropping clusters.
 */
#include "qcow2.h"

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
 * What is to become of a cluster that is to read as zeroes. @alike: all of it is what @entry says
 * of its first subcluster.
 *
 * Version 2 has no zero flag: there an entry of 0 has to do, which would show a backing file. A raw
 * data file must have zeroes itself. What is zero without taking space stays, as with qemu-img.
 */
static enum fate zero_fate(const struct qcow2 *q, const struct l2_entry *entry, bool alike,
			   enum imgfmt_zero_mode mode)
{
	bool keep = mode == IMGFMT_ZERO_KEEP && entry->copied;

	if (q->header.autoclear & QCOW2_AUTOCLEAR_DATA_RAW)
		return FATE_IMPOSSIBLE;
	if (alike && entry->kind == SUBCLUSTER_UNALLOCATED && !entry->has_host && !q->has_backing)
		return FATE_STAYS;
	if (!q->geometry.zero_flags)
		return q->has_backing ? FATE_IMPOSSIBLE : FATE_CLEARED;
	if (alike && entry->kind == SUBCLUSTER_ZERO && (!entry->has_host || keep))
		return FATE_STAYS;
	return keep ? FATE_ZERO_KEEPS : FATE_ZERO_PLAIN;
}

static struct l2_raw new_entry(const struct qcow2 *q, enum fate fate, struct l2_raw old)
{
	switch (fate) {
	case FATE_ZERO_KEEPS:
		return l2_with_zeroes(&q->geometry, old, 0, q->geometry.subclusters);
	case FATE_ZERO_PLAIN:
		return l2_zero_plain(&q->geometry);
	case FATE_CLEARED:
		return (struct l2_raw){ 0 };
	case FATE_STAYS:
	case FATE_IMPOSSIBLE:
		break;
	}
	return old;
}

/* Change the entries of @count clusters in one slice. */
static int change_clusters(struct qcow2 *q, uint64_t guest_offset, uint64_t count, enum fate fate)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	struct slice *slice;
	size_t index;
	int r;

	r = qcow2_change_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < count; i++) {
		struct l2_raw old = l2_load(geometry, slice->data, index + i);

		if (fate != FATE_ZERO_KEEPS && !geometry->external_data)
			r = qcow2_unlink_entry(q, old, guest_offset + offset_of(geometry, i));
		if (r < 0)
			break;
		l2_store(geometry, slice->data, index + i, new_entry(q, fate, old));
	}
	cache_put(&q->cache, slice);
	if (r < 0)
		return r;
	/* In a data file all lies in place. The entries are not needed for this to be right. */
	if (fate != FATE_ZERO_KEEPS && geometry->external_data && !q->image->keep_space)
		hostfile_discard(qcow2_data(q), guest_offset, offset_of(geometry, count));
	return 0;
}

/* Make @count subclusters of one cluster read as zeroes. */
static int zero_subclusters(struct qcow2 *q, uint64_t guest_offset, unsigned int count)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	unsigned int first = subcluster_index(geometry, guest_offset);
	struct slice *slice;
	size_t index;
	int r;

	r = qcow2_change_l2_slice(q, guest_offset, &slice, &index);
	if (r < 0)
		return r;
	l2_store(geometry, slice->data, index,
		 l2_with_zeroes(geometry, l2_load(geometry, slice->data, index), first, count));
	cache_put(&q->cache, slice);
	return 0;
}

/*
 * Zero whole clusters: those that are alike, or one. Sets *count, in subclusters, to how far it
 * got.
 */
static int zero_clusters(struct qcow2 *q, uint64_t guest_offset, const struct l2_entry *entry,
			 uint64_t alike, enum imgfmt_zero_mode mode, uint64_t *count)
{
	unsigned int subclusters = q->geometry.subclusters;
	uint64_t clusters = alike >= subclusters ? alike / subclusters : 1;
	enum fate fate = zero_fate(q, entry, alike >= subclusters, mode);

	*count = fate == FATE_IMPOSSIBLE ? 0 : clusters * subclusters;
	if (fate == FATE_STAYS || fate == FATE_IMPOSSIBLE)
		return 0;
	return change_clusters(q, guest_offset, clusters, fate);
}

/* Zero a part of a cluster, subclusters that are alike. */
static int zero_part(struct qcow2 *q, uint64_t guest_offset, const struct l2_entry *entry,
		     uint64_t alike, enum imgfmt_zero_mode mode, uint64_t *count)
{
	unsigned int left = q->geometry.subclusters - subcluster_index(&q->geometry, guest_offset);
	enum fate fate = zero_fate(q, entry, true, mode);

	*count = min_u64(alike, left);
	if (fate == FATE_STAYS || entry->kind == SUBCLUSTER_ZERO)
		return 0;
	if (fate == FATE_IMPOSSIBLE || entry->kind == SUBCLUSTER_COMPRESSED) {
		*count = 0;
		return 0;
	}
	return zero_subclusters(q, guest_offset, (unsigned int)*count);
}

/* One run of subclusters a call: the caller comes back, and others get their turn in between. */
static int zero_some(struct qcow2 *q, uint64_t guest_offset, uint64_t length,
		     enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	uint64_t wanted = units_of(length, geometry->subcluster_bits);
	bool to_end = guest_offset + length == q->image->size;
	struct l2_entry entry;
	uint64_t alike, count;
	int r;

	wanted = alike = qcow2_wait_for_writes(q, guest_offset, wanted);
	r = qcow2_look_up(q, guest_offset, &alike, &entry);
	if (r < 0)
		return r;
	/* What lies beyond the end of the disk in its last cluster may be zeroed with it. */
	if (into_cluster(geometry, guest_offset) == 0 &&
	    (wanted >= geometry->subclusters || to_end))
		r = zero_clusters(q, guest_offset, &entry, alike, mode, &count);
	else
		r = zero_part(q, guest_offset, &entry, alike, mode, &count);
	if (r == 0)
		*ret_length = min_u64(length, count << geometry->subcluster_bits);
	return r;
}

int qcow2_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	struct qcow2 *q = qcow2_of(image);
	int r;

	r = qcow2_relieve(q);
	if (r < 0)
		return r;
	LOCKED(&q->meta);
	r = qcow2_start_writing(q);
	return r < 0 ? r : zero_some(q, guest_offset, length, mode, ret_length);
}

/* Drop some clusters from that of @guest_offset on, at most *count. Sets *count to how many. */
static int drop_some(struct qcow2 *q, uint64_t guest_offset, uint64_t *count)
{
	LOCKED(&q->meta);
	unsigned int subclusters = q->geometry.subclusters;
	uint64_t alike = *count * subclusters;
	struct l2_entry entry;
	struct l1_entry l1;
	int r;

	r = qcow2_get_l1(q, guest_offset, &l1);
	if (r < 0)
		return r;
	/* A look-up would come no farther than a slice, of a table that there is not. */
	if (l1.l2_offset == 0) {
		*count = min_u64(*count, cluster_of(&q->geometry,
						    to_l1_entry_end(&q->geometry, guest_offset)));
		return 0;
	}
	r = qcow2_look_up(q, guest_offset, &alike, &entry);
	if (r < 0)
		return r;
	*count = alike >= subclusters ? alike / subclusters : 1;
	if (entry.kind == SUBCLUSTER_UNALLOCATED && !entry.has_host && alike >= subclusters)
		return 0;
	return change_clusters(q, guest_offset, *count, FATE_CLEARED);
}

int qcow2_drop_clusters(struct qcow2 *q, struct run guest_clusters)
{
	while (guest_clusters.count > 0) {
		uint64_t count = guest_clusters.count;
		int r;

		r = qcow2_relieve(q);
		if (r == 0)
			r = drop_some(q, offset_of(&q->geometry, guest_clusters.first), &count);
		if (r < 0)
			return r;
		guest_clusters.first += count;
		guest_clusters.count -= count;
	}
	return 0;
}
