/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs of host clusters, and sets of clusters kept as such.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Host clusters that lie one behind the other. */
struct run {
	uint64_t first;
	uint64_t count;
};

/*
 * A set of clusters: its runs are sorted, and none touches another, but see run_set_collect(). A
 * hostile image has millions of them, so each takes 8 bytes: how many clusters it has is in the low
 * bits of where it begins. One that is longer is kept as several, which touch.
 */
struct run_set {
	uint64_t *runs;
	size_t count, capacity;
};

#define RUN_LENGTH_BITS 17u
#define RUN_MAX_LENGTH  (UINT64_C(1) << RUN_LENGTH_BITS)

/* A run of a set. */
static inline struct run run_set_get(const struct run_set *set, size_t index)
{
	uint64_t packed = set->runs[index];

	return (struct run){ packed >> RUN_LENGTH_BITS, (packed & (RUN_MAX_LENGTH - 1)) + 1 };
}

void run_set_finish(struct run_set *set);

/* Add a run, which ends at cluster 2^47 at most. -ENOMEM: nothing has happened. */
int run_set_add(struct run_set *set, struct run run);

/*
 * Take a run away, or what of it is in the set. -ENOMEM: nothing has happened. Taking back the run
 * that was added last does not need memory.
 */
int run_set_remove(struct run_set *set, struct run run);

/* Is one of the clusters of a run in the set? */
bool run_set_overlaps(const struct run_set *set, struct run run);

/*
 * Filling a set with many runs in any order: collect each, then sort once, which takes no memory.
 * Nothing else may be asked of the set in between. -ENOMEM: only finish it.
 */
int run_set_collect(struct run_set *set, struct run run);

/* Returns whether no cluster was collected twice; else sets *ret_twice to the first that was. */
bool run_set_sort(struct run_set *set, uint64_t *ret_twice);
