/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One life of an image: it is opened, a workload is run on it, and it is closed. What came of it is
 * a recording, and a model of what the disk may hold at each moment.
 */
#pragma once

#include "imgfmt.h"
#include "model.h"
#include "recorder.h"
#include "workload.h"

struct life {
	struct memfile initial[FILE_COUNT];
	struct memfile final[FILE_COUNT];
	struct recording recording;
	struct model model;
	bool has_model;
	uint64_t snapshot_hash; /* of the content of the internal snapshots */
	char error[256];        /* what went wrong while nothing had crashed, or "" */
};

/*
 * Open the image in @files, a set of FILE_COUNT, through the library. *files must stay until it is
 * closed. @recording may be NULL. Returns as imgfmt_open().
 */
int life_open(struct memfile *files, const struct workload *workload, const char *snapshot,
	      bool read_only, struct recording *recording, struct imgfmt_image **ret,
	      struct imgfmt_error *reterr);

/*
 * Run the requests of a workload on an image that begins as @initial. With life->error set, what
 * there is of the recording is there too.
 */
void life_run(struct life *life, const struct workload *workload, const struct memfile *initial,
	      uint64_t seed);

void life_finish(struct life *life);

/* The hash of what all internal snapshots hold. Returns 0, or an error with words in @reterr. */
int life_hash_snapshots(struct memfile *files, const struct workload *workload, uint64_t *ret,
			struct imgfmt_error *reterr);

void life_print(const struct life *life);
