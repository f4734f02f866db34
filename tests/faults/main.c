/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * faults: run workloads on a host whose calls fail, one after the other.
 *
 * A first run of each workload counts the calls; then it is run again, once for each call that a
 * fault can hit, with a fault that hits that call, or all from that one on.
 */
#include "run.h"

#include "arguments.h"
#include "array.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fault faults[] = {
	{ .name = "EIO",
	  .effect = EFFECT_ERROR,
	  .error = EIO,
	  .calls = { true, true, true, true, true, true, true, true } },
	{ .name = "ENOSPC",
	  .effect = EFFECT_ERROR,
	  .error = ENOSPC,
	  .calls = { [CALL_WRITE] = true,
		     [CALL_SPACE] = true,
		     [CALL_RESIZE] = true,
		     [CALL_SYNC] = true } },
	{ .name = "EDQUOT",
	  .effect = EFFECT_ERROR,
	  .error = EDQUOT,
	  .calls = { [CALL_WRITE] = true,
		     [CALL_SPACE] = true,
		     [CALL_RESIZE] = true,
		     [CALL_SYNC] = true } },
	{ .name = "cut-off",
	  .effect = EFFECT_SHORT_ERROR,
	  .error = ENOSPC,
	  .calls = { [CALL_WRITE] = true } },
	{ .name = "lost", .effect = EFFECT_LOSS, .error = EIO, .calls = { [CALL_SYNC] = true } },
	{ .name = "short",
	  .effect = EFFECT_SHORT,
	  .calls = { [CALL_READ] = true, [CALL_WRITE] = true },
	  .harmless = true },
	{ .name = "EINTR",
	  .effect = EFFECT_ERROR,
	  .error = EINTR,
	  .calls = { [CALL_READ] = true,
		     [CALL_WRITE] = true,
		     [CALL_SPACE] = true,
		     [CALL_RESIZE] = true,
		     [CALL_SYNC] = true,
		     [CALL_LOCK] = true },
	  .once_only = true,
	  .harmless = true },
	{ .name = "EOPNOTSUPP",
	  .effect = EFFECT_ERROR,
	  .error = EOPNOTSUPP,
	  .calls = { [CALL_SPACE] = true },
	  .harmless = true },
};

/* How many requests later the host works again. */
static const unsigned int durations[] = { 0, 4, LASTS_FOR_GOOD };

struct options {
	uint64_t seed, faults, rounds;
	const char *scenario, *fault;
	uint64_t nth;
	unsigned int lasts;
	bool again, expect_failure, leaks;
	unsigned int most;
};

struct totals {
	uint64_t plans, hits, found, leaky;
};

static const char usage[] =
	"Usage: faults [OPTION...]\n"
	"  --faults=N         try so many faults in all, at random (default 3000)\n"
	"  --rounds=N         in place of that, try every fault at every call, with N seeds\n"
	"  --seed=N|random    what the workloads follow from (default 1)\n"
	"  --scenario=NAME    only this one\n"
	"  --fault=NAME       only this fault\n"
	"  --nth=N --lasts=N  only this call, and so many requests more\n"
	"  --leaks            a leaked cluster is damage, too, where the image could be closed\n"
	"  --most=N           stop after so many findings (default 1)\n"
	"  --expect-failure   succeed only if something is wrong\n";

static void print_finding(const struct subject *subject, uint64_t seed, const struct plan *plan,
			  const struct result *result)
{
	printf("FOUND: %s, %s at call %" PRIu64 "%s: %s\n", subject->name, plan->fault->name,
	       plan->nth, plan->lasts ? " and later" : "", result->error);
	printf("again: --scenario=%s --seed=%" PRIu64 " --fault=%s --nth=%" PRIu64 " --lasts=%u\n",
	       subject->name, seed, plan->fault->name, plan->nth, plan->lasts);
}

/* Run one plan. Returns whether to go on. */
static bool try_plan(const struct options *options, const struct subject *subject, uint64_t seed,
		     const struct plan *plan, struct totals *totals)
{
	struct result result;

	run_plan(subject, plan, false, &result);
	totals->plans++;
	totals->hits += result.hits;
	totals->leaky += result.leaks > 0;
	if (options->leaks && result.leaks > 0 && result.error[0] == '\0')
		snprintf(result.error, sizeof(result.error), "%" PRIu64 " cluster(s) leaked",
			 result.leaks);
	if (result.error[0] == '\0')
		return true;
	totals->found++;
	print_finding(subject, seed, plan, &result);
	return totals->found < options->most;
}

static bool wanted(const struct options *options, const struct fault *fault)
{
	return !options->fault || strcmp(options->fault, fault->name) == 0;
}

/* Every fault at every call. */
static bool try_all(const struct options *options, const struct subject *subject, uint64_t seed,
		    const struct result *plain, struct totals *totals)
{
	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
		for (uint64_t nth = 1; nth <= plain->calls && wanted(options, &faults[i]); nth++) {
			struct plan plan = { .fault = &faults[i], .nth = nth, .seed = seed + nth };

			if (!faults[i].calls[plain->log[nth - 1]])
				continue;
			for (size_t j = 0; j < (faults[i].once_only ? 1 : ARRAY_LENGTH(durations));
			     j++) {
				plan.lasts = durations[j];
				if (!try_plan(options, subject, seed, &plan, totals))
					return false;
			}
		}
	}
	return true;
}

/* Some faults at some calls. */
static bool try_some(const struct options *options, const struct subject *subject, uint64_t seed,
		     const struct result *plain, uint64_t count, struct totals *totals)
{
	struct prng prng = prng_fork(seed, 11);

	for (uint64_t tries = 0; count > 0 && tries < 1000 * count; tries++) {
		const struct fault *fault = &faults[prng_below(&prng, ARRAY_LENGTH(faults))];
		struct plan plan = {
			.fault = fault,
			.nth = 1 + prng_below(&prng, plain->calls),
			.lasts = durations[prng_below(&prng, ARRAY_LENGTH(durations))],
		};

		plan.seed = seed + plan.nth;
		if (!wanted(options, fault) || !fault->calls[plain->log[plan.nth - 1]])
			continue;
		if (fault->once_only)
			plan.lasts = 0;
		if (!try_plan(options, subject, seed, &plan, totals))
			return false;
		count--;
	}
	return true;
}

static bool try_one(const struct options *options, const struct subject *subject,
		    struct totals *totals)
{
	bool right = true;

	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
		const struct plan plan = {
			.fault = &faults[i],
			.nth = options->nth,
			.lasts = options->lasts,
			.seed = options->seed + options->nth,
		};

		if (wanted(options, &faults[i]))
			right = try_plan(options, subject, options->seed, &plan, totals);
	}
	return right;
}

/* Returns whether to go on. */
static bool try_subject(const struct options *options, const struct subject *subject, uint64_t seed,
			uint64_t share, struct totals *totals)
{
	const struct plan nothing = { 0 };
	struct result plain;
	bool go_on;

	run_plan(subject, &nothing, true, &plain);
	if (plain.error[0] != '\0') {
		printf("FOUND: %s with seed %" PRIu64 ", without a fault: %s\n", subject->name,
		       seed, plain.error);
		totals->found++;
		go_on = false;
	} else if (options->again) {
		workload_print(&subject->workload);
		for (size_t i = 0; i < subject->workload.request_count; i++)
			request_print(&subject->workload.requests[i], i);
		go_on = try_one(options, subject, totals);
	} else if (options->rounds > 0) {
		go_on = try_all(options, subject, seed, &plain, totals);
	} else {
		go_on = try_some(options, subject, seed, &plain, share, totals);
	}
	free(plain.log);
	return go_on;
}

/* All subjects with one seed. Returns whether to go on. */
static bool try_seed(const struct options *options, uint64_t seed, struct totals *totals)
{
	struct subject subject;
	bool go_on = true;

	for (unsigned int i = 0; go_on && subject_init(&subject, i, seed); i++) {
		if (!options->scenario || strcmp(options->scenario, subject.name) == 0)
			go_on = try_subject(options, &subject, seed, 40, totals);
		subject_finish(&subject);
	}
	return go_on;
}

static int run_all(const struct options *options)
{
	struct totals totals = { 0 };
	uint64_t seed = options->seed;
	bool go_on = true;

	do
		go_on = try_seed(options, seed++, &totals);
	while (go_on && !options->again &&
	       (options->rounds > 0 ? seed < options->seed + options->rounds :
				      totals.plans > 0 && totals.plans < options->faults));
	printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " runs with a fault, %" PRIu64
	       " calls failed; %" PRIu64 " left leaks; %s\n",
	       options->seed, seed - 1, totals.plans, totals.hits, totals.leaky,
	       totals.found ? "something is wrong" : "no damage");
	return (totals.found > 0) == options->expect_failure ? 0 : 1;
}

/* ---- options ---- */

static const struct option long_options[] = {
	{ "faults", required_argument, NULL, 'n' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "seed", required_argument, NULL, 's' },
	{ "scenario", required_argument, NULL, 'S' },
	{ "fault", required_argument, NULL, 'f' },
	{ "nth", required_argument, NULL, 'c' },
	{ "lasts", required_argument, NULL, 'l' },
	{ "most", required_argument, NULL, 'm' },
	{ "leaks", no_argument, NULL, 'L' },
	{ "expect-failure", no_argument, NULL, 'x' },
	{ 0 },
};

static void take_option(struct options *options, int code, const char *argument)
{
	switch (code) {
	case 'n':
		options->faults = arguments_number(argument);
		break;
	case 'r':
		options->rounds = arguments_number(argument);
		break;
	case 's':
		options->seed = arguments_number(argument);
		break;
	case 'S':
		options->scenario = argument;
		break;
	case 'f':
		options->fault = argument;
		break;
	case 'c':
		options->nth = arguments_number(argument);
		options->again = true;
		break;
	case 'l':
		options->lasts = (unsigned int)arguments_number(argument);
		break;
	case 'm':
		options->most = (unsigned int)arguments_number(argument);
		break;
	case 'L':
		options->leaks = true;
		break;
	case 'x':
		options->expect_failure = true;
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options options = { .seed = 1, .faults = 3000, .most = 1 };
	int code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(&options, code, optarg);
	if (optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	return run_all(&options);
}
