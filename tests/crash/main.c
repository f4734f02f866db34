/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crash: run workloads on images, and look at what a crash at any moment would leave of them.
 *
 * Each run is one scenario with one seed: several lives of one image, each beginning with what a
 * crash left of the one before. What is found is named, so that it can be looked at again, and is
 * made smaller by leaving out requests.
 */
#include "arguments.h"
#include "check.h"
#include "examine.h"
#include "qemu.h"
#include "scenario.h"

#include "align.h"
#include "bytes.h"
#include "cleanup.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LIVES 3

struct options {
	uint64_t states, seed;
	unsigned int variants, qemu_every;
	const char *scenario;
	const char *image, *backing;
	const char *directory; /* for the state that --point names */
	bool expect_failure;
	bool again;
	unsigned int life;
	struct state_name name;
};

static const char usage[] =
	"Usage: crash [OPTION...]\n"
	"  --states=N           look at so many states (default 3000)\n"
	"  --seed=N|random      what all that is random follows from (default 1)\n"
	"  --scenario=NAME      only this one; --list names them\n"
	"  --variants=N         states for each point of a crash (default 2)\n"
	"  --qemu-img=N         show one of N states to qemu-img, too\n"
	"  --image=FILE         begin with this image in place of one of the scenario's\n"
	"  --backing=FILE       the raw backing file of that, which it calls " BUILD_BACKING_NAME
	"\n"
	"  --expect-failure     succeed only if something is wrong\n"
	"  --life=N --point=N --variant=N  look at one state of one run again\n"
	"  --save=DIRECTORY     write that state there\n"
	"  --check=FILE         only check an image, as the tests do\n"
	"  --list               print the names of the scenarios\n";

/* ---- one run ---- */

static uint64_t life_seed(const struct workload *workload, unsigned int number)
{
	return prng_mix(workload->seed + 1) + number;
}

static void load_file(struct memfile *file, const char *path)
{
	_cleanup_free_ char *bytes = must_calloc(1, 1 << 16);
	FILE *stream = fopen(path, "re");
	size_t count;

	if (!stream) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	while ((count = fread(bytes, 1, 1 << 16, stream)) > 0)
		memfile_write(file, bytes, count, file->size);
	fclose(stream);
}

/* Make the image that the run begins with, or read it. */
static void make_image(const struct options *options, struct workload *workload,
		       struct memfile *files)
{
	struct prng prng = prng_fork(workload->seed, 7);

	if (!options->image) {
		build_image(&workload->build, &prng, files);
		return;
	}
	load_file(&files[FILE_IMAGE], options->image);
	if (options->backing)
		load_file(&files[FILE_BACKING], options->backing);
	if (files[FILE_IMAGE].size < 104) {
		fprintf(stderr, "%s: too short\n", options->image);
		exit(2);
	}
	workload->build.cluster_bits = get_be32(files[FILE_IMAGE].bytes + 20);
	workload->build.size = get_be64(files[FILE_IMAGE].bytes + 24);
	workload->build.snapshots = get_be32(files[FILE_IMAGE].bytes + 60);
	workload->build.data_raw = (check_autoclear(&files[FILE_IMAGE]) & 2) != 0;
}

/* The size of the disk as the header has it. */
static uint64_t disk_size(const struct memfile *image)
{
	return align_down(get_be64(image->bytes + 24), SECTOR);
}

static void print_finding(const struct workload *workload, unsigned int life,
			  const struct finding *finding)
{
	printf("\nFOUND: %s\n", finding->text);
	workload_print(workload);
	printf("again: --scenario=%s --seed=%" PRIu64 " --life=%u", workload->name, workload->seed,
	       life);
	if (finding->name.point != SIZE_MAX)
		printf(" --point=%zu --variant=%u (survivors: %s)", finding->name.point,
		       finding->name.variant, survival_name(finding->survival));
	printf("\n");
}

static void print_requests(const struct workload *workload)
{
	for (size_t i = 0; i < workload->request_count; i++)
		if (!workload->requests[i].skip)
			request_print(&workload->requests[i], i);
}

/* Is it still wrong, with the requests that are left? */
static bool still_fails(const struct workload *workload, const struct memfile *initial,
			uint64_t seed, struct life *life, struct finding *finding)
{
	struct examination examination = { .variants = 6, .limit = 20000 };

	life_run(life, workload, initial, seed);
	return examine_life(&examination, life, workload, seed, finding);
}

/* Leave out requests as long as something is wrong, and say what is left. */
static void shrink(struct workload *workload, const struct memfile *initial, uint64_t seed)
{
	struct finding finding;
	struct life life;
	bool smaller = true;

	while (smaller) {
		smaller = false;
		for (size_t i = workload->request_count; i-- > 0;) {
			struct request *request = &workload->requests[i];

			if (request->skip)
				continue;
			request->skip = true;
			if (still_fails(workload, initial, seed, &life, &finding))
				smaller = true;
			else
				request->skip = false;
			life_finish(&life);
		}
	}
	if (still_fails(workload, initial, seed, &life, &finding)) {
		printf("\nsmaller: %s\n", finding.text);
		print_requests(workload);
		life_print(&life);
		if (finding.name.point != SIZE_MAX)
			examine_again(&life, workload, seed, finding.name, NULL);
	}
	life_finish(&life);
}

/* Returns whether something is wrong. */
static bool run_lives(const struct options *options, struct workload *workload,
		      struct examination *examination)
{
	struct memfile files[FILE_COUNT] = { 0 };
	bool bad = false;

	make_image(options, workload, files);
	for (unsigned int number = 0; number < MAX_LIVES && !bad && examination->limit > 0;
	     number++) {
		uint64_t seed = life_seed(workload, number);
		struct finding finding;
		struct life life;

		workload_make_requests(workload, disk_size(&files[FILE_IMAGE]), number + 1);
		life_run(&life, workload, files, seed);
		if (options->again && number == options->life) {
			print_requests(workload);
			life_print(&life);
			printf("%s\n", life.error);
			examine_again(&life, workload, seed, options->name, options->directory);
		}
		if (!options->again)
			bad = examine_life(examination, &life, workload, seed, &finding);
		if (bad) {
			print_finding(workload, number, &finding);
			if (!options->expect_failure)
				shrink(workload, life.initial, seed);
		} else {
			examine_pick(&life, seed, files);
		}
		life_finish(&life);
	}
	memfiles_finish(files);
	return bad;
}

/* ---- all runs ---- */

static int run_all(const struct options *options)
{
	struct examination examination = {
		.variants = options->variants,
		.qemu_every = options->qemu_every,
		.limit = options->states,
	};
	unsigned int scenarios = 0, run = 0;
	bool bad = false;

	while (scenario_get(scenarios))
		scenarios++;
	for (; examination.limit > 0 && !bad && (run == 0 || !options->again); run++) {
		const char *name =
			options->scenario ? options->scenario : scenario_get(run % scenarios)->name;
		struct workload workload;

		if (workload_init(&workload, name, options->seed + run) < 0) {
			fprintf(stderr, "there is no scenario %s\n", name);
			return 2;
		}
		bad = run_lives(options, &workload, &examination);
		workload_finish(&workload);
	}
	if (options->again)
		return 0;
	printf("%" PRIu64 " states of %u runs from seed %" PRIu64 " on: %s; %" PRIu64
	       " had leaks; %" PRIu64 " compared with qemu-img\n",
	       examination.states, run, options->seed, bad ? "something is wrong" : "no errors",
	       examination.leaky, examination.compared);
	return bad == options->expect_failure ? 0 : 1;
}

static int check_file(const char *path)
{
	struct memfile file = { 0 };
	struct check_result result;

	load_file(&file, path);
	check_image(&file, &result);
	printf("%" PRIu64 " %" PRIu64 " %s\n", result.errors, result.leaks, result.text);
	memfile_finish(&file);
	return 0;
}

/* ---- options ---- */

enum option_code {
	OPTION_STATES = 1,
	OPTION_SEED,
	OPTION_SCENARIO,
	OPTION_VARIANTS,
	OPTION_QEMU,
	OPTION_IMAGE,
	OPTION_BACKING,
	OPTION_EXPECT_FAILURE,
	OPTION_LIFE,
	OPTION_POINT,
	OPTION_VARIANT,
	OPTION_SAVE,
	OPTION_CHECK,
	OPTION_LIST,
};

static const struct option long_options[] = {
	{ "states", required_argument, NULL, OPTION_STATES },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "scenario", required_argument, NULL, OPTION_SCENARIO },
	{ "variants", required_argument, NULL, OPTION_VARIANTS },
	{ "qemu-img", required_argument, NULL, OPTION_QEMU },
	{ "image", required_argument, NULL, OPTION_IMAGE },
	{ "backing", required_argument, NULL, OPTION_BACKING },
	{ "expect-failure", no_argument, NULL, OPTION_EXPECT_FAILURE },
	{ "life", required_argument, NULL, OPTION_LIFE },
	{ "point", required_argument, NULL, OPTION_POINT },
	{ "variant", required_argument, NULL, OPTION_VARIANT },
	{ "save", required_argument, NULL, OPTION_SAVE },
	{ "check", required_argument, NULL, OPTION_CHECK },
	{ "list", no_argument, NULL, OPTION_LIST },
	{ 0 },
};

static void take_name(struct options *options, int code, const char *argument)
{
	options->again = true;
	if (code == OPTION_LIFE)
		options->life = (unsigned int)arguments_number(argument);
	else if (code == OPTION_POINT)
		options->name.point = (size_t)arguments_number(argument);
	else
		options->name.variant = (unsigned int)arguments_number(argument);
}

static void take_option(struct options *options, int code, const char *argument)
{
	switch (code) {
	case OPTION_STATES:
		options->states = arguments_number(argument);
		break;
	case OPTION_SEED:
		options->seed = arguments_number(argument);
		break;
	case OPTION_SCENARIO:
		options->scenario = argument;
		break;
	case OPTION_VARIANTS:
		options->variants = (unsigned int)arguments_number(argument);
		break;
	case OPTION_QEMU:
		options->qemu_every = (unsigned int)arguments_number(argument);
		break;
	case OPTION_IMAGE:
		options->image = argument;
		break;
	case OPTION_BACKING:
		options->backing = argument;
		break;
	case OPTION_EXPECT_FAILURE:
		options->expect_failure = true;
		break;
	case OPTION_SAVE:
		options->directory = argument;
		break;
	case OPTION_CHECK:
		exit(check_file(argument));
	case OPTION_LIST:
		for (unsigned int i = 0; scenario_get(i); i++)
			printf("%s\n", scenario_get(i)->name);
		exit(0);
	case OPTION_LIFE:
	case OPTION_POINT:
	case OPTION_VARIANT:
		take_name(options, code, argument);
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options options = { .states = 3000, .seed = 1, .variants = 2 };
	int code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(&options, code, optarg);
	if (optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	if (options.qemu_every > 0 && !qemu_is_available()) {
		printf("there is no qemu-img\n");
		return 77;
	}
	return run_all(&options);
}
