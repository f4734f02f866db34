/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache of decompressed clusters: made once, kept within its limit; damage is kept, too. */
#include "qcow2/inflated.h"

#include "test.h"

#include <errno.h>
#include <semaphore.h>

#define CLUSTER_SIZE 65536
#define CLUSTERS     64
#define THREADS      8

static struct inflated_cache cache;

/* A cluster full of one byte, which counts how often it was made. */
struct cluster {
	uint8_t value;
	unsigned int made;
	int fails;
};

static int make(void *userdata, uint8_t *bytes)
{
	struct cluster *cluster = userdata;

	__atomic_add_fetch(&cluster->made, 1, __ATOMIC_RELAXED);
	if (cluster->fails < 0)
		return cluster->fails;
	memset(bytes, cluster->value, CLUSTER_SIZE);
	return 0;
}

static struct inflated_place place_of(const struct cluster *cluster)
{
	return (struct inflated_place){ cluster->value * 1000u, 999 };
}

static int read_piece(struct cluster *cluster, size_t into, size_t count)
{
	const struct inflated_source source = { .inflate = make, .userdata = cluster };
	uint8_t bytes[4096];
	int r;

	memset(bytes, 0xff, sizeof(bytes));
	r = inflated_read(&cache, place_of(cluster), into, bytes, count, &source);
	if (r == 0)
		CHECK(test_all(bytes, count, cluster->value));
	return r;
}

static void test_made_once(void)
{
	struct cluster cluster = { .value = 7 };

	inflated_init(&cache, CLUSTER_SIZE);
	for (size_t into = 0; into < CLUSTER_SIZE; into += 4096)
		CHECK_EQUAL(read_piece(&cluster, into, 4096), 0);
	CHECK_EQUAL(cluster.made, 1);
	inflated_finish(&cache);
}

static void test_limit(void)
{
	struct cluster clusters[CLUSTERS] = { 0 };

	inflated_init(&cache, CLUSTER_SIZE);
	for (unsigned int i = 0; i < CLUSTERS; i++) {
		clusters[i].value = (uint8_t)i;
		CHECK_EQUAL(read_piece(&clusters[i], 0, 512), 0);
		CHECK(cache.count <= cache.limit);
		CHECK_EQUAL(read_piece(&clusters[0], 0, 512), 0);
	}
	/* The one in constant use stayed, the one after it had to go. */
	CHECK_EQUAL(clusters[0].made, 1);
	CHECK_EQUAL(read_piece(&clusters[1], 0, 512), 0);
	CHECK_EQUAL(clusters[1].made, 2);
	inflated_finish(&cache);
}

static void test_failure_is_tried_again(void)
{
	struct cluster cluster = { .value = 7, .fails = -EIO };

	inflated_init(&cache, CLUSTER_SIZE);
	CHECK_EQUAL(read_piece(&cluster, 0, 512), -EIO);
	CHECK_EQUAL(cache.count, 0);
	cluster.fails = 0;
	CHECK_EQUAL(read_piece(&cluster, 0, 512), 0);
	CHECK_EQUAL(cluster.made, 2);
	inflated_finish(&cache);
}

/* What is damaged stays so, and is not looked at again. Fewer bytes of it are something else. */
static void test_damage_is_remembered(void)
{
	struct cluster cluster = { .value = 7, .fails = -EUCLEAN };
	const struct inflated_source source = { .inflate = make, .userdata = &cluster };
	struct inflated_place shorter = place_of(&cluster);
	uint8_t byte;

	inflated_init(&cache, CLUSTER_SIZE);
	CHECK_EQUAL(read_piece(&cluster, 0, 512), -EUCLEAN);
	CHECK_EQUAL(read_piece(&cluster, 4096, 512), -EUCLEAN);
	CHECK_EQUAL(cluster.made, 1);
	shorter.length--;
	cluster.fails = 0;
	CHECK_EQUAL(inflated_read(&cache, shorter, 0, &byte, 1, &source), 0);
	CHECK_EQUAL(cluster.made, 2);
	CHECK_EQUAL(read_piece(&cluster, 0, 512), -EUCLEAN);
	inflated_finish(&cache);
}

/* A cluster whose making takes until somebody who waits for it has made the next one. */
struct slow_cluster {
	struct cluster cluster;
	struct cluster *next;
	sem_t begun, next_made;
};

static int make_slowly(void *userdata, uint8_t *bytes)
{
	struct slow_cluster *slow = userdata;

	sem_post(&slow->begun);
	sem_wait(&slow->next_made);
	return make(&slow->cluster, bytes);
}

static void make_next(void *userdata)
{
	struct slow_cluster *slow = userdata;
	const struct inflated_source source = { .inflate = make, .userdata = slow->next };

	inflated_prepare(&cache, place_of(slow->next), &source);
	inflated_prepare(&cache, place_of(slow->next), &source);
	sem_post(&slow->next_made);
}

static void *read_slowly(void *userdata)
{
	struct slow_cluster *slow = userdata;
	const struct inflated_source source = {
		.inflate = make_slowly,
		.meanwhile = make_next,
		.userdata = slow,
	};
	uint8_t byte = 0;

	CHECK_EQUAL(inflated_read(&cache, place_of(&slow->cluster), 0, &byte, 1, &source), 0);
	CHECK_EQUAL(byte, slow->cluster.value);
	return NULL;
}

/* Who waits makes the next cluster, once; a failure to do so is nobody's. */
static void test_meanwhile(int fails)
{
	struct cluster next = { .value = 8, .fails = fails };
	struct slow_cluster slow = { .cluster.value = 7, .next = &next };
	pthread_t thread;

	inflated_init(&cache, CLUSTER_SIZE);
	sem_init(&slow.begun, 0, 0);
	sem_init(&slow.next_made, 0, 0);
	CHECK(pthread_create(&thread, NULL, read_slowly, &slow) == 0);
	sem_wait(&slow.begun);
	read_slowly(&slow);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_EQUAL(slow.cluster.made, 1);
	CHECK_EQUAL(next.made, fails ? 2 : 1);
	next.fails = 0;
	CHECK_EQUAL(read_piece(&next, 0, 512), 0);
	CHECK_EQUAL(next.made, fails ? 3 : 1);
	CHECK_EQUAL(cache.count, 2);
	inflated_finish(&cache);
}

static void *read_all(void *userdata)
{
	struct cluster *clusters = userdata;

	for (unsigned int round = 0; round < 50; round++)
		for (unsigned int i = 0; i < 24; i++)
			CHECK_EQUAL(read_piece(&clusters[i], (round * 4096) % CLUSTER_SIZE, 4096),
				    0);
	return NULL;
}

static void test_threads(void)
{
	struct cluster clusters[24] = { 0 };
	pthread_t threads[THREADS];

	inflated_init(&cache, CLUSTER_SIZE);
	for (unsigned int i = 0; i < 24; i++)
		clusters[i].value = (uint8_t)(i + 1);
	for (unsigned int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, read_all, clusters) == 0);
	for (unsigned int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(cache.count <= cache.limit);
	inflated_finish(&cache);
}

int main(void)
{
	test_made_once();
	test_limit();
	test_failure_is_tried_again();
	test_damage_is_remembered();
	test_meanwhile(0);
	test_meanwhile(-EIO);
	test_threads();
	return 0;
}
