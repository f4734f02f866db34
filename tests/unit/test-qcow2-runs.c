/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of clusters, against an array that says of each cluster whether it is in the set. */
#include "qcow2/runs.h"

#include "test.h"

#define CLUSTERS 64
#define STEPS    5000

static bool model[CLUSTERS];

static void check_set(const struct run_set *set)
{
	uint64_t in_set = 0, in_model = 0, end = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct run run = run_set_get(set, i);

		CHECK(run.count > 0);
		CHECK(i == 0 || end < run.first);
		end = run.first + run.count;
		in_set += run.count;
	}
	for (uint64_t i = 0; i < CLUSTERS; i++) {
		CHECK_EQUAL(run_set_overlaps(set, (struct run){ i, 1 }), model[i]);
		in_model += model[i];
	}
	CHECK_EQUAL(in_set, in_model);
}

static struct run random_run(unsigned int *seed)
{
	uint64_t first = (uint64_t)rand_r(seed) % CLUSTERS;
	uint64_t most = CLUSTERS - first < 8 ? CLUSTERS - first : 8;

	return (struct run){ first, (uint64_t)rand_r(seed) % (most + 1) };
}

static void set_model(struct run run, bool value)
{
	for (uint64_t i = 0; i < run.count; i++)
		model[run.first + i] = value;
}

static bool model_overlaps(struct run run)
{
	for (uint64_t i = 0; i < run.count; i++)
		if (model[run.first + i])
			return true;
	return false;
}

static void test_random(unsigned int seed)
{
	struct run_set set = { 0 };
	unsigned int runs = seed;
	bool distinct = true;
	uint64_t twice = 0;

	for (unsigned int i = 0; i < runs; i++) {
		struct run run = random_run(&seed);

		if (run.count == 0)
			continue;
		CHECK_EQUAL(run_set_collect(&set, run), 0);
		distinct = distinct && !model_overlaps(run);
		set_model(run, true);
	}
	CHECK_EQUAL(run_set_sort(&set, &twice), distinct);
	CHECK(distinct || model[twice]);
	check_set(&set);
	for (unsigned int i = 0; i < STEPS; i++) {
		struct run run = random_run(&seed);
		bool add = rand_r(&seed) % 2 == 0;

		CHECK_EQUAL(run_set_overlaps(&set, run), model_overlaps(run));
		CHECK_EQUAL(add ? run_set_add(&set, run) : run_set_remove(&set, run), 0);
		set_model(run, add);
		check_set(&set);
	}
	run_set_finish(&set);
	memset(model, 0, sizeof(model));
}

/* A run that is longer than what an element can say, at the highest clusters that there are. */
static void test_long_run(void)
{
	const uint64_t length = 5 * RUN_MAX_LENGTH / 2, first = (UINT64_C(1) << 47) - length;
	struct run_set set = { 0 };
	uint64_t twice;

	CHECK_EQUAL(run_set_collect(&set, (struct run){ first, length }), 0);
	CHECK_EQUAL(run_set_collect(&set, (struct run){ 7, 1 }), 0);
	CHECK(run_set_sort(&set, &twice));
	CHECK_EQUAL(set.count, 4);
	CHECK(run_set_overlaps(&set, (struct run){ first + length - 1, 1 }));
	CHECK(run_set_overlaps(&set, (struct run){ 0, first + 1 }));
	CHECK(!run_set_overlaps(&set, (struct run){ 8, first - 8 }));
	CHECK_EQUAL(run_set_remove(&set, (struct run){ first + RUN_MAX_LENGTH - 1, 2 }), 0);
	CHECK(run_set_overlaps(&set, (struct run){ first + RUN_MAX_LENGTH - 2, 1 }));
	CHECK(!run_set_overlaps(&set, (struct run){ first + RUN_MAX_LENGTH - 1, 2 }));
	CHECK(run_set_overlaps(&set, (struct run){ first + RUN_MAX_LENGTH + 1, 1 }));
	CHECK_EQUAL(run_set_add(&set, (struct run){ first, length }), 0);
	CHECK(run_set_overlaps(&set, (struct run){ first + RUN_MAX_LENGTH - 1, 2 }));
	CHECK_EQUAL(run_set_remove(&set, (struct run){ first, length }), 0);
	CHECK_EQUAL(set.count, 1);
	CHECK_EQUAL(run_set_collect(&set, (struct run){ first, length }), 0);
	CHECK_EQUAL(run_set_collect(&set, (struct run){ first + length - 1, 1 }), 0);
	CHECK(!run_set_sort(&set, &twice));
	CHECK_EQUAL(twice, first + length - 1);
	run_set_finish(&set);
}

int main(void)
{
	struct run_set empty = { 0 };
	uint64_t twice;

	CHECK(run_set_sort(&empty, &twice));
	check_set(&empty);
	for (unsigned int seed = 1; seed <= 10; seed++)
		test_random(seed);
	test_long_run();
	return 0;
}
