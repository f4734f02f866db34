/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a seed makes of a scenario; see workload.h. */
#include "scenario.h"

#include "align.h"
#include "array.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the image ---- */

/* One of up to three numbers that are not 0. */
static unsigned int one_of(const unsigned int *numbers, struct prng *prng)
{
	unsigned int count = 0;

	while (count < 3 && numbers[count] != 0)
		count++;
	return count ? numbers[prng_below(prng, count)] : 0;
}

static void choose_refcounts(struct build_options *build, const struct scenario *scenario,
			     struct prng *prng)
{
	unsigned int order = one_of(scenario->orders, prng);

	build->refcount_order = 4;
	if (build->version > 2 && order > 0)
		build->refcount_order = order - 1;
	else if (build->version > 2 && build->snapshots == 0)
		build->refcount_order = (unsigned int)prng_below(prng, 7);
}

/* A disk of about so many clusters, sectors at its end. */
static uint64_t choose_size(const struct build_options *build, unsigned int clusters,
			    struct prng *prng)
{
	uint64_t most = (uint64_t)clusters << build->cluster_bits;

	return most - prng_below(prng, most / 4 / SECTOR) * SECTOR;
}

static uint64_t choose_backing_size(uint64_t size, struct prng *prng)
{
	switch (prng_below(prng, 3)) {
	case 0:
		return size / 2 / SECTOR * SECTOR;
	case 1:
		return size;
	default:
		return align_up(size + size / 4, SECTOR);
	}
}

int workload_init(struct workload *workload, const char *name, uint64_t seed)
{
	const struct scenario *scenario = scenario_find(name);
	struct prng prng = prng_fork(seed, 1);
	struct build_options *build = &workload->build;

	if (!scenario)
		return -1;
	*workload = (struct workload){ .name = scenario->name, .seed = seed };
	build->cluster_bits = one_of(scenario->cluster_bits, &prng);
	build->version = scenario->v2_too && prng_chance(&prng, 30) ? 2 : 3;
	build->snapshots = scenario->snapshots;
	choose_refcounts(build, scenario, &prng);
	build->extended = scenario->extended;
	build->size = choose_size(build, scenario->clusters, &prng);
	if (scenario->backing)
		build->backing_size = choose_backing_size(build->size, &prng);
	build->data_file = scenario->data_file;
	build->data_raw = scenario->data_raw;
	build->bitmaps = scenario->bitmaps;
	build->autoclear = scenario->autoclear;
	build->normal = scenario->normal;
	build->zero = scenario->zero;
	build->zero_allocated = scenario->zero_allocated;
	build->compressed = scenario->compressed;
	/* One cluster of the refcount table, with 64 entries for 64 clusters each. */
	if (scenario->leaked)
		build->leaked_below = 64 * 64 - 80 - prng_below(&prng, 100);
	workload->cache_size = scenario->scattered || prng_chance(&prng, 70) ? 1 : 0;
	workload->keep_space = prng_chance(&prng, 20);
	workload->garbage = prng_chance(&prng, 20);
	if (prng_chance(&prng, 20))
		build->padding = SECTOR * (1 + prng_below(&prng, 2000));
	workload->threads = scenario->threads ? scenario->threads : 1;
	workload->percent = (unsigned int[]){ 2, 10, 40 }[prng_below(&prng, 3)];
	return 0;
}

/* ---- requests ---- */

static enum request_kind choose_kind(const struct scenario *scenario, struct prng *prng)
{
	uint64_t sum = 0, roll;
	unsigned int kind = 0;

	for (unsigned int i = 0; i < REQUEST_KIND_COUNT; i++)
		sum += scenario->weights[i];
	roll = prng_below(prng, sum);
	while (roll >= scenario->weights[kind])
		roll -= scenario->weights[kind++];
	return kind;
}

/* A size that is smaller, or larger by up to many L2 tables of small clusters. */
static uint64_t choose_new_size(const struct workload *workload, const struct scenario *scenario,
				uint64_t size, struct prng *prng)
{
	uint64_t cluster_size = UINT64_C(1) << workload->build.cluster_bits;
	bool shrink = prng_chance(prng, scenario->shrink ? 60 : 25);
	uint64_t most = cluster_size * (cluster_size == SECTOR ? 6000 : 20);

	if (shrink)
		return prng_below(prng, size / SECTOR + 1) * SECTOR;
	if (prng_chance(prng, 30))
		most = cluster_size;
	size += (1 + prng_below(prng, most / SECTOR)) * SECTOR;
	return min_u64(size, 4 * max_u64(cluster_size * 1800, workload->build.size));
}

/* A range: from a few bytes to several clusters; ends at clusters and sectors are frequent. */
static void choose_range(const struct workload *workload, const struct scenario *scenario,
			 uint64_t size, struct request *request, struct prng *prng)
{
	static const uint64_t units[] = { SECTOR, SECTOR, 4096, 0, 0 };
	uint64_t cluster_size = UINT64_C(1) << workload->build.cluster_bits;
	uint64_t unit = units[prng_below(prng, ARRAY_LENGTH(units))];
	uint64_t most;

	if (unit == 0 || scenario->whole || scenario->scattered)
		unit = cluster_size;
	/* Bytes: only where nobody else changes the rest of the sector. */
	if (workload->threads == 1 && !scenario->whole && prng_chance(prng, 10))
		unit = 1;
	most = cluster_size *
	       (prng_chance(prng, 20) ? (scenario->largest ? scenario->largest : 8) : 2);
	request->guest_offset = prng_below(prng, size) / unit * unit;
	request->length = (1 + prng_below(prng, most / unit ? most / unit : 1)) * unit;
	request->length = min_u64(request->length, size - request->guest_offset);
}

void workload_make_requests(struct workload *workload, uint64_t size, uint64_t seed)
{
	const struct scenario *scenario = scenario_find(workload->name);
	struct prng prng = prng_fork(workload->seed, prng_mix(seed) | 1);
	uint64_t count = 3 + prng_below(&prng, scenario->requests);

	workload->request_count = 0;
	for (uint64_t i = 0; i < count; i++) {
		struct request request = {
			.kind = choose_kind(scenario, &prng),
			.thread = (unsigned int)prng_below(&prng, workload->threads),
			.stamp = prng_next(&prng),
		};

		if (request.kind == REQUEST_TRUNCATE)
			request.length = size = choose_new_size(workload, scenario, size, &prng);
		else if (size == 0)
			request.kind = REQUEST_FLUSH;
		else
			choose_range(workload, scenario, size, &request, &prng);
		must_reserve(&workload->requests, workload->request_count,
			     &workload->request_capacity, sizeof(request));
		workload->requests[workload->request_count++] = request;
	}
}

void workload_finish(struct workload *workload)
{
	free(workload->requests);
	*workload = (struct workload){ 0 };
}

/* ---- words ---- */

void request_print(const struct request *request, size_t number)
{
	static const char *const names[REQUEST_KIND_COUNT] = {
		"write", "zero", "discard", "read", "flush", "writeback", "truncate",
	};

	printf("%3zu thread %u: %s 0x%" PRIx64 " +0x%" PRIx64 "%s\n", number, request->thread,
	       names[request->kind], request->guest_offset, request->length,
	       request->skip ? " (left out)" : "");
}

void workload_print(const struct workload *workload)
{
	const struct build_options *build = &workload->build;

	printf("scenario %s, seed %" PRIu64 ": version %u, clusters of %u, refcount bits %u, size "
	       "0x%" PRIx64 ", backing 0x%" PRIx64 ", padding 0x%" PRIx64 ", cache %zu%s%s%s, "
	       "switches %u%%\n",
	       workload->name, workload->seed, build->version, 1u << build->cluster_bits,
	       1u << build->refcount_order, build->size, build->backing_size, build->padding,
	       workload->cache_size, workload->keep_space ? ", space kept" : "",
	       build->extended ? ", extended" : "",
	       workload->garbage ? ", discarded is garbage" : "", workload->percent);
}
