/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done to which image: what a seed makes of a scenario.
 */
#pragma once

#include "build.h"
#include "schedule.h"

#include <stddef.h>

enum request_kind {
	REQUEST_WRITE,
	REQUEST_ZERO,    /* the space is kept */
	REQUEST_DISCARD, /* zeroes, and the space is given back */
	REQUEST_READ,
	REQUEST_FLUSH,
	REQUEST_WRITEBACK,
	REQUEST_TRUNCATE,
	REQUEST_KIND_COUNT,
};

struct request {
	enum request_kind kind;
	unsigned int thread;
	uint64_t guest_offset;
	uint64_t length; /* TRUNCATE: the new size of the disk */
	uint64_t stamp;  /* WRITE: what is written */
	bool skip;       /* left out to see whether it matters */
};

struct workload {
	const char *name;
	uint64_t seed;
	struct build_options build;
	size_t cache_size;
	bool keep_space;
	bool garbage;         /* what was discarded in the image file reads as anything */
	unsigned int threads; /* 1: no threads at all */
	unsigned int percent; /* see schedule_run() */
	struct request *requests;
	size_t request_count, request_capacity;
};

/*
 * Make the workload of a scenario (-1 where there is none of this name), but for its requests. The
 * same seed makes the same.
 */
int workload_init(struct workload *workload, const char *name, uint64_t seed);

/* Make requests for one run on a disk of @size bytes, replacing those that there are. */
void workload_make_requests(struct workload *workload, uint64_t size, uint64_t seed);

void workload_finish(struct workload *workload);

/* One line each. */
void workload_print(const struct workload *workload);
void request_print(const struct request *request, size_t number);
