/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the moment that nothing points to a host cluster any more and the moment that it may
 * be used anew.
 *
 * First it waits for the flush that makes the unlinking durable (I2); then for the end of every
 * request that began before, since one may still read or write there (I5). Only then its refcount
 * drops, and if that leaves nothing, its space goes back to the host before anybody can allocate it
 * again.
 */
#include "qcow2.h"

#include "array.h"
#include "lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Runs kept before a flush is asked for: a quarter of a MiB of them. */
#define LONG_QUARANTINE 16384

/* Clusters given back at a time, so that others get their turn with the tables. */
#define BATCH 4096

int quarantine_add(struct quarantine *quarantine, struct run run)
{
	int r;

	if (quarantine->count > 0) {
		struct run *last = &quarantine->runs[quarantine->count - 1];

		if (last->first + last->count == run.first) {
			last->count += run.count;
			return 0;
		}
	}
	r = array_reserve_one(&quarantine->runs, quarantine->count, &quarantine->capacity,
			      sizeof(*quarantine->runs));
	if (r < 0)
		return r;
	quarantine->runs[quarantine->count++] = run;
	return 0;
}

void quarantine_move(struct quarantine *quarantine, struct quarantine *from)
{
	if (quarantine->count == 0) {
		struct quarantine empty = *quarantine;

		*quarantine = *from;
		*from = empty;
		return;
	}
	for (size_t i = 0; i < from->count; i++)
		(void)quarantine_add(quarantine, from->runs[i]);
	from->count = 0;
}

void quarantine_finish(struct quarantine *quarantine)
{
	free(quarantine->runs);
	*quarantine = (struct quarantine){ 0 };
}

bool quarantine_is_long(const struct quarantine *quarantine)
{
	return quarantine->count >= LONG_QUARANTINE;
}

/*
 * How many clusters at the start of a run have nobody else who uses them. A run that has a table in
 * it was named by an entry that is wrong: letting go of it would destroy the image.
 */
static int count_sole(struct qcow2 *q, struct run run, uint64_t *ret)
{
	LOCKED(&q->meta);
	uint64_t count = min_u64(run.count, BATCH);
	uint64_t host_offset = offset_of(&q->geometry, run.first);

	if (qcow2_check_overlap(q, host_offset, offset_of(&q->geometry, count)) < 0)
		return qcow2_corrupt(
			q, "the cluster at 0x%" PRIx64 ", let go of by an entry, has a table in it",
			host_offset);
	return qcow2_count_refcounts(q, (struct run){ run.first, count }, 1, 1, ret);
}

static int lower(struct qcow2 *q, struct run run)
{
	LOCKED(&q->meta);
	int r = tally_reserve(&q->pending, run);

	if (r == 0)
		r = qcow2_lower_refcounts(q, run);
	if (r == 0)
		tally_remove(&q->pending, run);
	return r;
}

/*
 * The host has failed: a later flush may do it. What the image itself forbids is leaked. Either way
 * it stays in q->pending, as its refcounts have not dropped.
 */
static int keep_for_later(struct qcow2 *q, struct run run, int r)
{
	LOCKED(&q->meta);

	if (r != -EUCLEAN)
		(void)quarantine_add(&q->unlinked, run);
	return r;
}

/*
 * Lower the refcounts of a run. A cluster with refcount 1 is ours alone until that is lowered, so
 * the host's space of it can be given back without meta.
 */
static int recycle_run(struct qcow2 *q, struct run run)
{
	while (run.count > 0) {
		struct run part = { .first = run.first, .count = 1 };
		uint64_t sole;
		int r;

		r = count_sole(q, run, &sole);
		if (r < 0)
			return keep_for_later(q, run, r);
		if (sole > 0) {
			part.count = sole;
			if (!q->image->keep_space)
				hostfile_discard(q->file, offset_of(&q->geometry, part.first),
						 offset_of(&q->geometry, part.count));
		}
		r = lower(q, part);
		if (r < 0)
			return keep_for_later(q, run, r);
		run.first += part.count;
		run.count -= part.count;
	}
	return 0;
}

int qcow2_recycle(struct qcow2 *q)
{
	struct quarantine *freed = &q->waiting.freed;
	int first_error = 0;

	if (freed->count == 0)
		return 0;
	grace_advance(&q->image->grace);
	grace_advance(&q->image->grace);
	if (!grace_is_over(&q->image->grace, q->waiting.epoch))
		return 0;
	for (size_t i = 0; i < freed->count; i++) {
		int r = recycle_run(q, freed->runs[i]);

		if (r < 0 && first_error == 0)
			first_error = r;
	}
	quarantine_finish(freed);
	return first_error;
}
