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
			r = qcow2_count_refcounts(q, (struct run){ *cluster, UINT64_MAX }, 1,
						  UINT64_MAX, &used);
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
		struct run rest = { first + count, most - count };
		uint64_t free;
		int r;

		r = qcow2_ensure_block(q, rest.first);
		if (r == 0)
			r = qcow2_count_refcounts(q, rest, 0, 0, &free);
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
	int r = qcow2_check_counted(q, run);

	if (r == 0)
		r = qcow2_lower_refcounts(q, run);
	/* Where the host fails just now, a later flush may do it. */
	if (r < 0 && r != -EUCLEAN)
		qcow2_unlink(q, run);
}

int qcow2_check_counted(struct qcow2 *q, struct run run)
{
	while (run.count > 0) {
		struct run part = run;
		uint64_t counted, pending;
		int r;

		pending = tally_count(&q->pending, run.first, &part.count);
		part.count = min_u64(part.count, run.count);
		r = qcow2_count_refcounts(q, part, pending + 1, UINT64_MAX, &counted);
		if (r < 0)
			return r;
		if (counted == 0)
			return qcow2_corrupt(
				q, "refcount of the cluster at 0x%" PRIx64 ", in use, is too low",
				offset_of(&q->geometry, run.first));
		run.first += counted;
		run.count -= counted;
	}
	return 0;
}

void qcow2_unlink(struct qcow2 *q, struct run run)
{
	/* Without memory to remember it by, the run is leaked: qemu-img check finds it. */
	if (tally_reserve(&q->pending, run) < 0 || quarantine_add(&q->unlinked, run) < 0)
		return;
	tally_add(&q->pending, run);
}

/*
 * The host clusters that an entry leads to, or @clusters entries that say the same. Compressed data
 * counts once in every one that it has a sector of.
 */
static struct run host_clusters(const struct qcow2 *q, const struct l2_entry *entry,
				uint64_t clusters)
{
	uint64_t first = cluster_of(&q->geometry, entry->host_offset);
	uint64_t last = entry->host_offset + entry->compressed_length - 1;

	if (entry->kind == SUBCLUSTER_COMPRESSED)
		return (struct run){ first, cluster_of(&q->geometry, last) - first + 1 };
	return (struct run){ first, entry->has_host ? clusters : 0 };
}

int qcow2_check_entry(struct qcow2 *q, const struct l2_entry *entry, uint64_t clusters)
{
	return qcow2_check_counted(q, host_clusters(q, entry, clusters));
}

int qcow2_unlink_entry(struct qcow2 *q, struct l2_raw raw, uint64_t guest_offset)
{
	struct l2_entry entry;
	struct run run;
	int r;

	/* Of an entry that is wrong nobody can say what it uses: it is leaked. */
	if (l2_parse(&q->geometry, raw, guest_offset, 0, &entry) < 0)
		return 0;
	run = host_clusters(q, &entry, 1);
	if (run.count == 0)
		return 0;
	r = qcow2_check_counted(q, run);
	if (r == 0)
		qcow2_unlink(q, run);
	return r;
}
