/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Grace periods: nothing is recycled under a reader, and recycling goes on all the same. */
#include "test.h"

#include "grace.h"

#include <pthread.h>
#include <sched.h>

#define SLOTS       64
#define GENERATIONS 20000

static void test_alone(void)
{
	struct grace grace;
	uint64_t unlinked, inside;

	grace_init(&grace);
	/* Nobody is inside: two steps, and it is over. */
	unlinked = grace_now(&grace);
	CHECK(!grace_is_over(&grace, unlinked));
	CHECK_EQUAL(grace_advance(&grace), unlinked + 1);
	CHECK(!grace_is_over(&grace, unlinked));
	CHECK_EQUAL(grace_advance(&grace), unlinked + 2);
	CHECK(grace_is_over(&grace, unlinked));

	/* Who entered before the unlinking holds it up, however often one tries. */
	inside = grace_enter(&grace);
	unlinked = grace_now(&grace);
	for (int i = 0; i < 10; i++)
		grace_advance(&grace);
	CHECK(!grace_is_over(&grace, unlinked));

	/* Who enters later does not. */
	CHECK_EQUAL(grace_now(&grace), unlinked + 1);
	CHECK_EQUAL(grace_enter(&grace), unlinked + 1);
	grace_leave(&grace, inside);
	grace_advance(&grace);
	CHECK(grace_is_over(&grace, unlinked));
	grace_leave(&grace, unlinked + 1);
}

/* A thing that is looked up through "current", unlinked, and dead after its grace period. */
static struct grace shared_grace;
static _Atomic unsigned int current;
static _Atomic bool dead[SLOTS];
static _Atomic bool stop;
static _Atomic uint64_t visits;

static void *reader(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		uint64_t epoch = grace_enter(&shared_grace);
		unsigned int slot = atomic_load(&current);

		for (int i = 0; i < 20; i++)
			CHECK(!atomic_load(&dead[slot]));
		grace_leave(&shared_grace, epoch);
		atomic_fetch_add(&visits, 1);
		/* Be put aside here, by preference, and not inside, where others wait for us. */
		sched_yield();
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[2];

	grace_init(&shared_grace);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, reader, NULL) == 0);
	while (atomic_load(&visits) == 0)
		sched_yield();
	for (unsigned int i = 0; i < GENERATIONS; i++) {
		unsigned int old = i % SLOTS, new = (i + 1) % SLOTS;
		uint64_t unlinked;

		atomic_store(&dead[new], false);
		atomic_store(&current, new);
		unlinked = grace_now(&shared_grace);
		while (!grace_is_over(&shared_grace, unlinked))
			if (grace_advance(&shared_grace) < unlinked + 2)
				sched_yield();
		atomic_store(&dead[old], true);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	test_alone();
	test_threads();
	return 0;
}
