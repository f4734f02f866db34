/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must be true of an image after a crash.
 */
#pragma once

#include "life.h"

struct judgement {
	char text[320]; /* what is wrong, or "" */
	struct moment moment;
	size_t sector;          /* that holds something wrong, or SIZE_MAX */
	uint64_t errors, leaks; /* as the checker counts them */
	uint8_t *content;       /* of the disk, where it could be read */
	uint64_t size;
};

/*
 * Judge a state of a crash at @now: it opens; it has no errors; the disk holds what was flushed
 * (or, unless it is @power that was lost, written back) or what was under way; snapshots hold
 * what they did; nothing was changed before outdated features were called so. What is opened is
 * changed by nobody but @thorough, which writes to it and looks at it again. The caller calls
 * judgement_finish().
 */
void judge_state(const struct life *life, const struct workload *workload, struct memfile *files,
		 uint64_t now, bool power, bool thorough, struct judgement *ret);

void judgement_finish(struct judgement *judgement);
