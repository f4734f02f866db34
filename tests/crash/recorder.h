/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host-file layer of the tests: it implements hostfile.h over files in memory and keeps a log
 * of what was done to them. The linker finds these functions before those of the library.
 *
 * Time is counted in ticks: every record takes one, and so does whatever else asks for one, so
 * that it is known what came before what.
 */
#pragma once

#include "memfile.h"
#include "prng.h"

#include <stdbool.h>

enum record_kind {
	RECORD_WRITE,   /* of data or zeroes */
	RECORD_DISCARD, /* each sector reads as before, or as the record says */
	RECORD_RESIZE,
	RECORD_SYNC,
};

struct record {
	enum record_kind kind;
	unsigned int file;
	uint64_t tick;
	uint64_t offset, length; /* WRITE, DISCARD: whole sectors */
	uint8_t *bytes;          /* what these sectors hold afterwards; NULL: zeroes */
	uint64_t size;           /* of the file afterwards */
	size_t covered;          /* SYNC: what of the records before this one is durable */
};

struct recording {
	struct record *records;
	size_t count, capacity;
	uint64_t ticks;
	bool garbage;     /* what was discarded in the image file is not zeroes but anything */
	struct prng prng; /* what a discarded range reads as while the recording is made */
};

void recording_finish(struct recording *recording);

static inline uint64_t recording_tick(struct recording *recording)
{
	return ++recording->ticks;
}

/* What is written to any file beyond this is taken for a mistake, and fails. */
#define RECORDER_MAX_SIZE (UINT64_C(1) << 30)

/*
 * A number that imgfmt_open() takes for a descriptor of @file, which must outlive the image. What
 * is done to the file goes into @recording as file @id, unless that is NULL.
 */
int recorder_open(struct memfile *file, unsigned int id, struct recording *recording);
