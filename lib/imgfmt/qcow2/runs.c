/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of clusters, see runs.h. An array: to look something up is a binary search, and what is
 * added later mostly goes to the end.
 */
#include "runs.h"

#include "align.h"
#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t end_of(struct run run)
{
	return run.first + run.count;
}

static uint64_t end_at(const struct run_set *set, size_t index)
{
	return end_of(run_set_get(set, index));
}

/* How many elements a run takes. */
static size_t pieces_of(struct run run)
{
	return (size_t)((run.count + RUN_MAX_LENGTH - 1) >> RUN_LENGTH_BITS);
}

/* Put a run to @at, in as many pieces as that takes. Returns what is behind the last. */
static uint64_t *put_pieces(uint64_t *at, struct run run)
{
	while (run.count > 0) {
		uint64_t count = min_u64(run.count, RUN_MAX_LENGTH);

		*at++ = run.first << RUN_LENGTH_BITS | (count - 1);
		run.first += count;
		run.count -= count;
	}
	return at;
}

static int reserve(struct run_set *set, size_t more)
{
	int r = 0;

	while (r == 0 && set->capacity < set->count + more)
		r = array_reserve_one(&set->runs, set->capacity, &set->capacity,
				      sizeof(*set->runs));
	return r;
}

void run_set_finish(struct run_set *set)
{
	free(set->runs);
	*set = (struct run_set){ 0 };
}

/* The first run that ends at @cluster or behind it. */
static size_t find(const struct run_set *set, uint64_t cluster)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (end_at(set, middle) < cluster)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Put two runs, which may be empty, in the place of those from @from to @to. */
static int replace(struct run_set *set, size_t from, size_t to, struct run a, struct run b)
{
	size_t count = pieces_of(a) + pieces_of(b);
	int r = count > to - from ? reserve(set, count - (to - from)) : 0;

	if (r < 0)
		return r;
	memmove(set->runs + from + count, set->runs + to, (set->count - to) * sizeof(*set->runs));
	put_pieces(put_pieces(set->runs + from, a), b);
	set->count += count - (to - from);
	return 0;
}

int run_set_add(struct run_set *set, struct run run)
{
	size_t from = find(set, run.first), to;
	uint64_t end = end_of(run);

	if (run.count == 0)
		return 0;
	for (to = from; to < set->count && run_set_get(set, to).first <= end; to++) {
		run.first = min_u64(run.first, run_set_get(set, to).first);
		end = max_u64(end, end_at(set, to));
	}
	run.count = end - run.first;
	return replace(set, from, to, run, (struct run){ 0 });
}

int run_set_remove(struct run_set *set, struct run run)
{
	size_t from = find(set, run.first), to;
	uint64_t end = end_of(run);
	struct run before = { 0 }, behind = { 0 };

	if (run.count == 0)
		return 0;
	for (to = from; to < set->count && run_set_get(set, to).first < end; to++)
		;
	if (from == to)
		return 0;
	before.first = run_set_get(set, from).first;
	if (before.first < run.first)
		before.count = run.first - before.first;
	behind.first = end;
	if (end_at(set, to - 1) > end)
		behind.count = end_at(set, to - 1) - end;
	/* One that is split becomes two. */
	return replace(set, from, to, before, behind);
}

bool run_set_overlaps(const struct run_set *set, struct run run)
{
	size_t at = find(set, run.first + 1);

	return run.count > 0 && at < set->count && run_set_get(set, at).first < end_of(run);
}

int run_set_collect(struct run_set *set, struct run run)
{
	if (run.count == 0)
		return 0;
	return replace(set, set->count, set->count, run, (struct run){ 0 });
}

/*
 * Sort by one bit after the other, from @bit down: in place, and in a time that no order can make
 * longer.
 */
static void sort(uint64_t *runs, size_t count, unsigned int bit)
{
	while (count > 1) {
		size_t low = 0, high = count;

		while (low < high) {
			uint64_t run = runs[low];

			if (run >> bit & 1) {
				runs[low] = runs[--high];
				runs[high] = run;
			} else {
				low++;
			}
		}
		if (bit == 0)
			return;
		bit--;
		sort(runs, low, bit);
		runs += low;
		count -= low;
	}
}

bool run_set_sort(struct run_set *set, uint64_t *ret_twice)
{
	bool distinct = true;
	struct run last;
	uint64_t *kept = set->runs;

	if (set->count == 0)
		return true;
	sort(set->runs, set->count, 63);
	last = run_set_get(set, 0);
	for (size_t i = 1; i < set->count; i++) {
		struct run next = run_set_get(set, i);
		uint64_t end = end_of(last);

		if (distinct && next.first < end) {
			distinct = false;
			*ret_twice = next.first;
		}
		if (next.first <= end) {
			last.count = max_u64(end, end_of(next)) - last.first;
			continue;
		}
		kept = put_pieces(kept, last);
		last = next;
	}
	set->count = (size_t)(put_pieces(kept, last) - set->runs);
	return distinct;
}
