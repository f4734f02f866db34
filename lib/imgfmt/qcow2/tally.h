/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often each host cluster is in a collection of runs, which may overlap, and come and go one by
 * one. It takes 16 bytes for each run, or for each 512 clusters of a run that is longer.
 */
#pragma once

#include "runs.h"

/* Clusters, sorted; one may be there several times. */
struct points {
	uint64_t *at;
	size_t count, capacity;
};

/*
 * Along the clusters the number rises by one at each of @rises, and falls by one at each of @falls.
 * None is in both: where one run ends and another begins, nothing changes.
 */
struct tally_part {
	struct points rises, falls;
};

#define TALLY_PARTS      64u
#define TALLY_GROUP_BITS 9u

/*
 * Groups of clusters take turns in the parts, and runs are cut where a group ends: so parts stay
 * short, and a run that comes in between others moves little.
 */
struct tally {
	struct tally_part parts[TALLY_PARTS];
};

/* Make room for a run, to add or to remove, which then cannot fail. -ENOMEM. */
int tally_reserve(struct tally *tally, struct run run);

void tally_add(struct tally *tally, struct run run);

/* Each cluster of the run is in the collection, but they need not have come as one run. */
void tally_remove(struct tally *tally, struct run run);

/* How often @cluster is in it; for so many clusters from there on, at least, that is the same. */
uint64_t tally_count(const struct tally *tally, uint64_t cluster, uint64_t *ret_alike);

void tally_finish(struct tally *tally);
