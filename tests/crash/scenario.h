/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scenarios: what kind of image, and what kind of requests. Each is about one thing that may go
 * wrong; what it does not say is left to the seed.
 */
#pragma once

#include "workload.h"

struct scenario {
	const char *name;
	unsigned int cluster_bits[3]; /* one of those that are not 0 */
	unsigned int orders[3];       /* refcount orders plus one: the same; none: any */
	unsigned int clusters;        /* guest clusters of the disk, or some less */
	bool v2_too;                  /* version 2 now and then */
	bool extended, backing, data_file, data_raw, bitmaps;
	uint64_t autoclear;
	unsigned int snapshots;
	unsigned int normal, zero, zero_allocated, compressed; /* see build.h */
	bool leaked;    /* nearly as many clusters as the refcount table has room for */
	bool scattered; /* requests are for small parts of a large disk, and the cache is small */
	bool whole;     /* requests are for whole clusters */
	unsigned int largest;  /* clusters that a request is for at most; 0: 8 */
	bool shrink;           /* rather than grow */
	unsigned int threads;  /* 0: none */
	unsigned int requests; /* at most, or a few more */
	unsigned int weights[REQUEST_KIND_COUNT];
};

/* The scenario with a number, or NULL behind the last one. */
const struct scenario *scenario_get(unsigned int index);

/* The scenario called @name, or NULL. */
const struct scenario *scenario_find(const char *name);
