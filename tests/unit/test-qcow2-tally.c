/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counting clusters, against an array that has the number for each of some stretches of them. */
#include "qcow2/tally.h"

#include "test.h"

#define STRETCHES 64
#define LENGTH    1000u /* clusters of a stretch: all together are more than a group in each part */
#define RUNS      40
#define STEPS     5000

static uint64_t model[STRETCHES + 1]; /* the last one stays 0 */

static void check_tally(const struct tally *tally)
{
	for (uint64_t i = 0; i <= STRETCHES; i++) {
		uint64_t cluster = i * LENGTH, end = cluster + LENGTH;

		while (cluster < end) {
			uint64_t alike = 0;

			CHECK_EQUAL(tally_count(tally, cluster, &alike), model[i]);
			CHECK(alike > 0);
			cluster += alike;
		}
		/* What goes on behind the stretch is the same there. */
		CHECK(cluster == end || i == STRETCHES || model[i + 1] == model[i]);
	}
}

/* How many points a tally consists of. */
static size_t points_in(const struct tally *tally)
{
	size_t count = 0;

	for (unsigned int i = 0; i < TALLY_PARTS; i++)
		count += tally->parts[i].rises.count + tally->parts[i].falls.count;
	return count;
}

static void change(struct tally *tally, uint64_t first, uint64_t count, bool add)
{
	struct run run = { first * LENGTH, count * LENGTH };

	CHECK_EQUAL(tally_reserve(tally, run), 0);
	if (add)
		tally_add(tally, run);
	else
		tally_remove(tally, run);
	for (uint64_t i = 0; i < count; i++)
		model[first + i] += add ? 1 : UINT64_MAX;
}

/* Add runs, and take parts of them away, until nothing is left. */
static void test_random(unsigned int seed)
{
	struct run runs[RUNS] = { 0 };
	struct tally tally = { 0 };

	for (unsigned int i = 0; i < STEPS + RUNS; i++) {
		struct run *run = &runs[i < STEPS ? (unsigned int)rand_r(&seed) % RUNS : i - STEPS];
		uint64_t count = run->count;

		if (count == 0 && i < STEPS) {
			run->first = (uint64_t)rand_r(&seed) % STRETCHES;
			run->count = 1 + (uint64_t)rand_r(&seed) % (STRETCHES - run->first);
			change(&tally, run->first, run->count, true);
		} else if (count > 0) {
			if (i < STEPS)
				count = 1 + (uint64_t)rand_r(&seed) % count;
			change(&tally, run->first, count, false);
			run->first += count;
			run->count -= count;
		}
		check_tally(&tally);
	}
	CHECK_EQUAL(points_in(&tally), 0);
	tally_finish(&tally);
}

/* Clusters one behind the other take little memory, and none when they have gone. */
static void test_one_by_one(void)
{
	const uint64_t first = UINT64_C(1) << 46, count = 100 << TALLY_GROUP_BITS;
	struct tally tally = { 0 };
	uint64_t alike;

	for (uint64_t i = 0; i < count; i++) {
		const struct run one = { first + i, 1 };

		CHECK_EQUAL(tally_reserve(&tally, one), 0);
		tally_add(&tally, one);
	}
	CHECK_EQUAL(points_in(&tally), 2 * 100);
	CHECK_EQUAL(tally_count(&tally, first, &alike), 1);
	CHECK_EQUAL(tally_count(&tally, first - 1, &alike), 0);
	CHECK_EQUAL(tally_count(&tally, first + count - 1, &alike), 1);
	CHECK_EQUAL(alike, 1);
	CHECK_EQUAL(tally_count(&tally, first + count, &alike), 0);
	CHECK_EQUAL(tally_reserve(&tally, (struct run){ first, count }), 0);
	tally_remove(&tally, (struct run){ first, count });
	CHECK_EQUAL(points_in(&tally), 0);
	tally_finish(&tally);
}

int main(void)
{
	for (unsigned int seed = 1; seed <= 10; seed++)
		test_random(seed);
	test_one_by_one();
	return 0;
}
