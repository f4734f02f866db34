/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small cache of decompressed clusters; see inflated.h. */
#include "inflated.h"

#include "lock.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the cache may take, in bytes; but never fewer clusters than this: two for each of several
 * who read sequentially, or they would take them from each other.
 */
#define CACHE_SIZE   ((size_t)1 << 20)
#define MIN_CLUSTERS 16

struct inflated {
	struct list link;
	struct inflated_place place;
	unsigned int users; /* who copies from it, or waits for it */
	bool ready;
	int r; /* once ready: how making it went */
	uint8_t data[];
};

void inflated_init(struct inflated_cache *cache, size_t cluster_size)
{
	*cache = (struct inflated_cache){ .cluster_size = cluster_size };
	cache->limit = CACHE_SIZE / cluster_size;
	if (cache->limit < MIN_CLUSTERS)
		cache->limit = MIN_CLUSTERS;
	list_init(&cache->clusters);
	pthread_mutex_init(&cache->mutex, NULL);
	pthread_cond_init(&cache->ready, NULL);
}

static void drop(struct inflated_cache *cache, struct inflated *inflated)
{
	list_remove(&inflated->link);
	cache->count--;
	free(inflated);
}

void inflated_finish(struct inflated_cache *cache)
{
	list_for_each_safe(link, &cache->clusters)
		drop(cache, list_entry(link, struct inflated, link));
	assert(cache->count == 0);
	pthread_cond_destroy(&cache->ready);
	pthread_mutex_destroy(&cache->mutex);
}

/* Keep to the limit, as far as clusters are not in use. */
static void evict(struct inflated_cache *cache)
{
	struct list *link = cache->clusters.prev;

	while (cache->count > cache->limit && link != &cache->clusters) {
		struct inflated *inflated = list_entry(link, struct inflated, link);

		link = link->prev;
		if (inflated->users == 0)
			drop(cache, inflated);
	}
}

static struct inflated *find(struct inflated_cache *cache, struct inflated_place place)
{
	list_for_each(link, &cache->clusters) {
		struct inflated *inflated = list_entry(link, struct inflated, link);

		if (inflated->place.host_offset == place.host_offset &&
		    inflated->place.length == place.length)
			return inflated;
	}
	return NULL;
}

static struct inflated *add(struct inflated_cache *cache, struct inflated_place place)
{
	struct inflated *inflated = malloc(sizeof(*inflated) + cache->cluster_size);

	if (!inflated)
		return NULL;
	*inflated = (struct inflated){ .place = place };
	list_prepend(&cache->clusters, &inflated->link);
	cache->count++;
	return inflated;
}

/* Get the cluster, for one more user. *ret_make: it is new, and this user must make it. */
static struct inflated *get(struct inflated_cache *cache, struct inflated_place place,
			    bool *ret_make)
{
	LOCKED(&cache->mutex);
	struct inflated *inflated = find(cache, place);

	*ret_make = !inflated;
	if (!inflated)
		inflated = add(cache, place);
	if (!inflated)
		return NULL;
	inflated->users++;
	list_remove(&inflated->link);
	list_prepend(&cache->clusters, &inflated->link);
	evict(cache);
	return inflated;
}

static void finish_making(struct inflated_cache *cache, struct inflated *inflated, int r)
{
	LOCKED(&cache->mutex);

	inflated->r = r;
	inflated->ready = true;
	pthread_cond_broadcast(&cache->ready);
}

static bool is_ready(struct inflated_cache *cache, const struct inflated *inflated)
{
	LOCKED(&cache->mutex);

	return inflated->ready;
}

static int wait_until_ready(struct inflated_cache *cache, struct inflated *inflated)
{
	LOCKED(&cache->mutex);

	while (!inflated->ready)
		pthread_cond_wait(&cache->ready, &cache->mutex);
	return inflated->r;
}

static void put(struct inflated_cache *cache, struct inflated *inflated)
{
	LOCKED(&cache->mutex);

	inflated->users--;
	/* What could not be made is tried again by who asks next, unless that is in vain. */
	if (inflated->users == 0 && inflated->r < 0 && inflated->r != -EUCLEAN)
		drop(cache, inflated);
	evict(cache);
}

int inflated_read(struct inflated_cache *cache, struct inflated_place place, size_t into,
		  void *buffer, size_t count, const struct inflated_source *source)
{
	struct inflated *inflated;
	bool make;
	int r;

	inflated = get(cache, place, &make);
	if (!inflated)
		return -ENOMEM;
	if (make)
		finish_making(cache, inflated, source->inflate(source->userdata, inflated->data));
	else if (source->meanwhile && !is_ready(cache, inflated))
		source->meanwhile(source->userdata);
	r = wait_until_ready(cache, inflated);
	if (r == 0)
		memcpy(buffer, inflated->data + into, count);
	put(cache, inflated);
	return r;
}

void inflated_prepare(struct inflated_cache *cache, struct inflated_place place,
		      const struct inflated_source *source)
{
	struct inflated *inflated;
	bool make;

	inflated = get(cache, place, &make);
	if (!inflated)
		return;
	if (make)
		finish_making(cache, inflated, source->inflate(source->userdata, inflated->data));
	put(cache, inflated);
}
