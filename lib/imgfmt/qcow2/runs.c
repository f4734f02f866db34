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

		if (end_of(set->runs[middle]) < cluster)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Put @count runs in the place of those from @from to @to. There is room. */
static void replace(struct run_set *set, size_t from, size_t to, const struct run *runs,
		    size_t count)
{
	memmove(set->runs + from + count, set->runs + to, (set->count - to) * sizeof(*set->runs));
	memcpy(set->runs + from, runs, count * sizeof(*runs));
	set->count += count - (to - from);
}

int run_set_add(struct run_set *set, struct run run)
{
	size_t from = find(set, run.first), to;
	uint64_t end = end_of(run);
	int r;

	if (run.count == 0)
		return 0;
	r = array_reserve_one(&set->runs, set->count, &set->capacity, sizeof(*set->runs));
	if (r < 0)
		return r;
	for (to = from; to < set->count && set->runs[to].first <= end; to++) {
		run.first = min_u64(run.first, set->runs[to].first);
		end = max_u64(end, end_of(set->runs[to]));
	}
	run.count = end - run.first;
	replace(set, from, to, &run, 1);
	return 0;
}

int run_set_remove(struct run_set *set, struct run run)
{
	size_t from = find(set, run.first), to, count = 0;
	uint64_t end = end_of(run);
	struct run left[2];

	if (run.count == 0)
		return 0;
	for (to = from; to < set->count && set->runs[to].first < end; to++)
		;
	if (from == to)
		return 0;
	if (set->runs[from].first < run.first)
		left[count++] =
			(struct run){ set->runs[from].first, run.first - set->runs[from].first };
	if (end_of(set->runs[to - 1]) > end)
		left[count++] = (struct run){ end, end_of(set->runs[to - 1]) - end };
	/* One that is split becomes two. */
	if (count > to - from) {
		int r = array_reserve_one(&set->runs, set->count, &set->capacity,
					  sizeof(*set->runs));

		if (r < 0)
			return r;
	}
	replace(set, from, to, left, count);
	return 0;
}

bool run_set_overlaps(const struct run_set *set, struct run run)
{
	size_t at = find(set, run.first + 1);

	return run.count > 0 && at < set->count && set->runs[at].first < end_of(run);
}

int run_set_collect(struct run_set *set, struct run run)
{
	int r = array_reserve_one(&set->runs, set->count, &set->capacity, sizeof(*set->runs));

	if (r < 0)
		return r;
	set->runs[set->count++] = run;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t first = ((const struct run *)a)->first, second = ((const struct run *)b)->first;

	return (first > second) - (first < second);
}

bool run_set_sort(struct run_set *set, uint64_t *ret_twice)
{
	bool distinct = true;
	size_t kept = 0;

	if (set->count == 0)
		return true;
	qsort(set->runs, set->count, sizeof(*set->runs), compare);
	for (size_t i = 1; i < set->count; i++) {
		struct run *last = &set->runs[kept], next = set->runs[i];

		if (next.first > end_of(*last)) {
			set->runs[++kept] = next;
			continue;
		}
		if (distinct && next.first < end_of(*last)) {
			distinct = false;
			*ret_twice = next.first;
		}
		last->count = max_u64(end_of(*last), end_of(next)) - last->first;
	}
	set->count = kept + 1;
	return distinct;
}
