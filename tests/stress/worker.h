/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads that work on one open image at once, and compare what they see with the model.
 */
#pragma once

#include "kinds.h"
#include "model.h"

struct tally {
	uint64_t operations; /* that were made */
	uint64_t refused;    /* as they went beyond the end of the disk */
	uint64_t bytes;      /* that were moved */
};

struct work {
	struct imgfmt_image *image;
	struct model *model;
	const struct kind *kind;
	uint64_t seed;
	uint64_t max_size;       /* that the disk may grow to */
	unsigned int threads;    /* at most WORK_MAX_THREADS */
	unsigned int operations; /* of each thread */
	uint64_t hot[4];         /* where the threads meet most */

	pthread_mutex_t resizing; /* one change of the size at a time */

	pthread_mutex_t mutex; /* all below */
	struct tally tally;
	_Atomic bool stop;
	char error[1024]; /* what went wrong first, or "" */
};

#define WORK_MAX_THREADS 64

/* Run the threads, and wait for them. All before "resizing" must be set. */
void work_run(struct work *work);

/* Read all of the disk while nobody works on it, and compare. @content has room for it. */
bool work_read_all(struct work *work, uint8_t *content);
