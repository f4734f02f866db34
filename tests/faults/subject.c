/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The workloads: those of tests/crash that need no threads, and two on raw images. See run.h. */
#include "run.h"

#include "check.h"
#include "scenario.h"

#include "align.h"
#include "array.h"

#include <string.h>

/* The bitmap that build.c makes, its table and its directory. */
#define BITMAP_CLUSTERS 3

/* Raw images are worked on as these scenarios have it. */
static const char *const raw_scenarios[] = { "discard", "grow" };

static void make_raw(struct subject *subject, struct prng *prng)
{
	uint64_t size = subject->workload.build.size;

	subject->raw = true;
	subject->workload.build = (struct build_options){ .size = size, .cluster_bits = 12 };
	memfile_resize(&subject->files[FILE_IMAGE], size);
	build_fill(subject->files[FILE_IMAGE].bytes, size, prng_next(prng));
}

static uint64_t largest_size(const struct workload *workload, uint64_t size)
{
	for (size_t i = 0; i < workload->request_count; i++)
		if (workload->requests[i].kind == REQUEST_TRUNCATE)
			size = max_u64(size, workload->requests[i].length);
	return size;
}

bool subject_init(struct subject *subject, unsigned int number, uint64_t seed)
{
	const struct scenario *scenario = NULL;
	struct prng prng = prng_fork(seed, 7);
	struct check_result checked;
	unsigned int single = 0;

	*subject = (struct subject){ 0 };
	if (number < ARRAY_LENGTH(raw_scenarios)) {
		subject->name = number == 0 ? "raw" : "raw-grow";
		workload_init(&subject->workload, raw_scenarios[number], seed);
		make_raw(subject, &prng);
	} else {
		for (unsigned int i = 0; (scenario = scenario_get(i)); i++)
			if (!scenario->threads && single++ == number - ARRAY_LENGTH(raw_scenarios))
				break;
		if (!scenario)
			return false;
		subject->name = scenario->name;
		workload_init(&subject->workload, scenario->name, seed);
		build_image(&subject->workload.build, &prng, subject->files);
		check_image(&subject->files[FILE_IMAGE], &checked);
		/* The clusters of a bitmap that becomes invalid stay: nobody knows them then. */
		subject->leaks = checked.leaks + (scenario->bitmaps ? BITMAP_CLUSTERS : 0);
	}
	workload_make_requests(&subject->workload, subject->workload.build.size, 1);
	subject->max_size = largest_size(&subject->workload, subject->workload.build.size);
	return true;
}

void subject_finish(struct subject *subject)
{
	workload_finish(&subject->workload);
	memfiles_finish(subject->files);
}
