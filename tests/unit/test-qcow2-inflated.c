/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache of decompressed clusters: made once, kept within its limit, failures not kept. */
#include "qcow2/inflated.h"

#include "test.h"

#include <errno.h>

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

static int read_piece(struct cluster *cluster, size_t into, size_t count)
{
	const struct inflated_source source = { make, cluster };
	uint8_t bytes[4096];
	int r;

	memset(bytes, 0xff, sizeof(bytes));
	r = inflated_read(&cache, cluster->value * 1000u, into, bytes, count, &source);
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
	test_threads();
	return 0;
}
