/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding free host clusters, and letting go of used ones.
 *
 * The lowest free clusters go first, so that files stay short; free_hint keeps that from being
 * a search from the start each time. What is unlinked is not free before the quarantine has let
 * it go (I2, I5).
 */
#include "qcow2.h"

#include <errno.h>
#include <inttypes.h>

/* Go on from *cluster to the next free one. */
static int skip_used(struct qcow2 *q, uint64_t *cluster)
{
	for (;;) {
		uint64_t used;
		int r;

		if (offset_of(&q->geometry, *cluster) > QCOW2_MAX_HOST_OFFSET)
			return -EFBIG;
		r = qcow2_ensure_block(q, *cluster);
		if (r == 0)
			r = qcow2_count_refcounts(q, *cluster, UINT64_MAX, REFCOUNT_USED, &used);
		if (r < 0)
			return r;
		if (used == 0)
			return 0;
		*cluster += used;
	}
}

/* How many free clusters there are from a free one on. */
static int count_free(struct qcow2 *q, uint64_t first, uint64_t most, uint64_t *ret)
{
	uint64_t count = 0;

	while (count < most) {
		uint64_t free;
		int r;

		r = qcow2_ensure_block(q, first + count);
		if (r == 0)
			r = qcow2_count_refcounts(q, first + count, most - count, REFCOUNT_FREE,
						  &free);
		if (r < 0 && count == 0)
			return r;
		if (r < 0 || free == 0)
			break;
		count += free;
	}
	*ret = count;
	return 0;
}

int qcow2_allocate(struct qcow2 *q, uint64_t most, struct run *ret, bool *ret_fresh)
{
	struct run run = { .first = q->free_hint };
	uint64_t start, length;
	int r;

	r = skip_used(q, &run.first);
	if (r == 0)
		r = count_free(q, run.first, most, &run.count);
	if (r < 0)
		return r;
	start = offset_of(&q->geometry, run.first);
	/* Part of the run lies within the file, and may hold anything: stop at its end. */
	if (start < q->fresh_from)
		run.count = min_u64(run.count,
				    units_of(q->fresh_from - start, q->geometry.cluster_bits));
	length = offset_of(&q->geometry, run.count);
	if (qcow2_check_overlap(q, start, length) < 0)
		return qcow2_corrupt(q,
				     "refcounts call the cluster(s) at 0x%" PRIx64
				     " free, where a table lies",
				     start);
	r = qcow2_raise_refcounts(q, run);
	if (r < 0)
		return r;
	*ret_fresh = start >= q->fresh_from;
	q->fresh_from = max_u64(q->fresh_from, start + length);
	q->free_hint = run.first + run.count;
	*ret = run;
	return 0;
}

void qcow2_take_back(struct qcow2 *q, struct run run)
{
	/* Where the host fails just now, a later flush may do it. */
	if (qcow2_lower_refcounts(q, run) < 0)
		qcow2_unlink(q, run);
}

void qcow2_unlink(struct qcow2 *q, struct run run)
{
	/* Without memory to remember it by, the run is leaked: qemu-img check finds it. */
	(void)quarantine_add(&q->unlinked, run);
}

void qcow2_unlink_entry(struct qcow2 *q, struct l2_raw raw, uint64_t guest_offset)
{
	struct l2_entry entry;
	uint64_t first, last;

	/* Of an entry that is wrong nobody can say what it uses: it is leaked. */
	if (l2_parse(&q->geometry, raw, guest_offset, 0, &entry) < 0)
		return;
	first = last = cluster_of(&q->geometry, entry.host_offset);
	/* Compressed data counts once in every host cluster that it has a sector of. */
	if (entry.kind == SUBCLUSTER_COMPRESSED)
		last = cluster_of(&q->geometry, entry.host_offset + entry.compressed_length - 1);
	else if (!entry.has_host)
		return;
	qcow2_unlink(q, (struct run){ first, last - first + 1 });
}
