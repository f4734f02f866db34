/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest range to extent: where the bytes of a qcow2 image lie.
 */
#include "qcow2.h"

#include "lock.h"

/*
 * Slices looked at for one answer. A disk of many TiB can say the same in all of its tables; others
 * wait for meta meanwhile, and who asks may not even want to know that much.
 */
#define MAX_STEPS 16

/* To read a slice takes as long as looking at so many entries. */
#define WORK_TO_READ 1024

/* A run of subclusters that say the same, cut to the bytes asked for. */
struct mapped {
	struct l2_entry entry;
	uint64_t length;      /* guest bytes from the offset asked for */
	uint64_t host_offset; /* NORMAL: of the first of them */
	uint64_t work;        /* entries looked at */
};

/* Look at no more than one L2 slice, or at the range of one L2 table that there is not. */
static int map_step(struct qcow2 *q, uint64_t guest_offset, uint64_t length, struct mapped *ret)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	struct l1_entry l1;
	uint64_t count;
	int r;

	length = min_u64(length, to_l1_entry_end(geometry, guest_offset));
	r = qcow2_get_l1(q, guest_offset, &l1);
	if (r < 0)
		return r;
	if (l1.l2_offset == 0) {
		*ret = (struct mapped){ .length = length, .work = 1 };
		return 0;
	}
	count = subclusters_touched(geometry, guest_offset, length);
	r = qcow2_look_up(q, guest_offset, &count, &ret->entry);
	if (r < 0)
		return r;
	ret->work = count;
	ret->length = min_u64(length, (count << geometry->subcluster_bits) -
					      into_subcluster(geometry, guest_offset));
	ret->host_offset = ret->entry.host_offset + into_cluster(geometry, guest_offset);
	return 0;
}

static enum driver_extent_kind extent_kind(enum subcluster_kind kind)
{
	switch (kind) {
	case SUBCLUSTER_ZERO:
		return DRIVER_ZERO;
	case SUBCLUSTER_NORMAL:
		return DRIVER_DATA;
	case SUBCLUSTER_COMPRESSED:
		return DRIVER_ENCODED;
	case SUBCLUSTER_UNALLOCATED:
		break;
	}
	return DRIVER_UNALLOCATED;
}

static struct driver_extent to_extent(const struct qcow2 *q, const struct mapped *mapped)
{
	struct driver_extent extent = {
		.kind = extent_kind(mapped->entry.kind),
		.length = mapped->length,
		.work = mapped->work,
	};

	if (extent.kind == DRIVER_DATA && q->aes) {
		extent.kind = DRIVER_ENCODED;
	} else if (extent.kind == DRIVER_DATA) {
		extent.file = qcow2_data(q);
		extent.host_offset = mapped->host_offset;
	}
	return extent;
}

/* Is @next, which begins where @extent ends, more of the same? */
static bool extends(const struct driver_extent *extent, const struct driver_extent *next)
{
	if (next->kind != extent->kind || extent->kind == DRIVER_ENCODED)
		return false;
	return extent->kind != DRIVER_DATA ||
	       next->host_offset == extent->host_offset + extent->length;
}

int qcow2_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	      struct driver_extent *ret)
{
	struct qcow2 *q = qcow2_of(image);
	LOCKED(&q->meta);
	uint64_t reads = q->cache.reads;
	struct driver_extent extent;
	struct mapped mapped;
	int r;

	r = map_step(q, guest_offset, length, &mapped);
	if (r < 0)
		return r;
	extent = to_extent(q, &mapped);
	for (unsigned int steps = 1; extent.length < length && steps < MAX_STEPS; steps++) {
		struct driver_extent next;

		/* What cannot be read is met again by who needs it. */
		if (map_step(q, guest_offset + extent.length, length - extent.length, &mapped) < 0)
			break;
		next = to_extent(q, &mapped);
		extent.work += next.work;
		if (!extends(&extent, &next))
			break;
		extent.length += next.length;
	}
	extent.work += (q->cache.reads - reads) * WORK_TO_READ;
	*ret = extent;
	return 0;
}
