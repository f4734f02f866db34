/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files may hold after a crash, built from a recording.
 *
 * Everything before the last completed sync of a file is there. Of what came after it, and before
 * the crash, any subset of sectors of any subset of writes may be there. The file may have grown
 * as far as any of these writes would have it.
 */
#pragma once

#include "recorder.h"

/* A crash point that moves on through a recording. */
struct crash {
	const struct recording *recording;
	size_t point;                       /* the crash is before this record */
	struct memfile durable[FILE_COUNT]; /* what no crash takes away any more */
	size_t covered[FILE_COUNT];         /* records of this file before this one are in it */
	struct prng prng;                   /* what discarded ranges read as */
};

/* @initial: what the files held when the recording began. The crash is before the first record. */
void crash_init(struct crash *crash, const struct recording *recording,
		const struct memfile *initial, uint64_t seed);

void crash_finish(struct crash *crash);

/* Move the crash behind the next record, if there is one. */
bool crash_advance(struct crash *crash);

/* How the subset that survived is chosen. */
enum survival {
	SURVIVE_ALL, /* in order: it was the process that died, not the machine */
	SURVIVE_CUT, /* the same, in the middle of the last write */
	SURVIVE_NONE,
	SURVIVE_RECORDS,     /* each write as a whole, or not */
	SURVIVE_SECTORS,     /* each sector of each write, or not */
	SURVIVE_ALL_BUT_ONE, /* one write is missing, or what one sector of it was to be */
	SURVIVE_ONLY_ONE,
	SURVIVE_LATE, /* nothing before a certain write */
	SURVIVE_COUNT,
};

const char *survival_name(enum survival survival);

/* Is it only the process that died? */
static inline bool survival_is_death(enum survival survival)
{
	return survival == SURVIVE_ALL || survival == SURVIVE_CUT;
}

/* Are there writes that a crash at the point might take away? */
bool crash_has_pending(const struct crash *crash);

/* Build a state into @ret, a set of FILE_COUNT files, replacing what it was. */
void crash_build(const struct crash *crash, enum survival survival, struct prng *prng,
		 struct memfile *ret);
