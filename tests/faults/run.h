/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One workload, run on an image of which the host fails at one call, or from one call on.
 *
 * What must hold whatever fails: a request that answers with success has done all that it should;
 * one that fails changes nothing but the range it is for, where each byte is old or new, and says
 * what the host said; once the host works again requests do, too; a flush never succeeds again
 * after a sync has failed; afterwards the tables are without errors, and the content is what was
 * acknowledged.
 */
#pragma once

#include "host.h"
#include "workload.h"

/* A workload and the image that it begins with. */
struct subject {
	const char *name;
	bool raw;
	struct workload workload;
	struct memfile files[FILE_COUNT];
	uint64_t max_size; /* the disk never becomes larger */
	uint64_t leaks;    /* that the image has from the start */
};

/* Make the subject with a number from a seed. Returns false where there are no more. */
bool subject_init(struct subject *subject, unsigned int number, uint64_t seed);
void subject_finish(struct subject *subject);

/* How a workload is run. */
struct plan {
	const struct fault *fault; /* NULL: nothing fails */
	uint64_t nth;
	unsigned int
		lasts; /* requests after the one that it hits; 0: just the call; LASTS_FOR_GOOD */
	uint64_t seed; /* of what is lost */
};

#define LASTS_FOR_GOOD 1000000

struct result {
	uint64_t hits;
	char error[400]; /* what is wrong, or "" */
	uint64_t leaks;  /* clusters more than there were, though closing succeeded */
	enum call *log;  /* the calls that were made, if asked for; malloc'ed */
	uint64_t calls;
};

void run_plan(const struct subject *subject, const struct plan *plan, bool want_log,
	      struct result *ret);
