/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A write-back cache of slices of tables; see cache.h.
 *
 * A slice is in the hash from when it was read until it is freed. It is in the LRU list exactly
 * while it could be evicted: not pinned, nothing to be written.
 */
#include "cache.h"

#include "align.h"
#include "array.h"
#include "cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIN_SLICES 64
/* Slices written with one call, where they lie one behind the other. */
#define MAX_RUN    128

/* ---- the hash ---- */

static struct slice **bucket_of(const struct cache *cache, uint64_t host_offset)
{
	uint64_t number = host_offset / cache->slice_size;

	/* Tables of one kind lie a power of two apart: mix before taking the low bits. */
	number *= UINT64_C(0x9e3779b97f4a7c15);
	return &cache->buckets[(number >> 32) & cache->bucket_mask];
}

static struct slice *find_slice(const struct cache *cache, uint64_t host_offset)
{
	struct slice *slice = *bucket_of(cache, host_offset);

	while (slice && slice->host_offset != host_offset)
		slice = slice->hash_next;
	return slice;
}

static void unhash(struct cache *cache, struct slice *slice)
{
	struct slice **at = bucket_of(cache, slice->host_offset);

	while (*at != slice)
		at = &(*at)->hash_next;
	*at = slice->hash_next;
	cache->count--;
}

/* ---- slices ---- */

static bool is_dirty(const struct slice *slice)
{
	return !list_is_empty(&slice->dirty_link);
}

static bool is_frozen(const struct slice *slice)
{
	return slice->frozen != NULL;
}

/* Something became clean or unpinned: it may be evicted if it is both. */
static void settle(struct cache *cache, struct slice *slice)
{
	if (slice->pins == 0 && !is_dirty(slice) && !is_frozen(slice))
		list_prepend(&cache->lru, &slice->lru);
}

static void set_dirty(struct cache *cache, struct slice *slice)
{
	if (is_dirty(slice))
		return;
	list_remove(&slice->lru);
	list_append(&cache->dirty[slice->stage], &slice->dirty_link);
	cache->dirty_count++;
}

static void set_clean(struct cache *cache, struct slice *slice)
{
	if (!is_dirty(slice))
		return;
	list_remove(&slice->dirty_link);
	cache->dirty_count--;
}

/* The flush has written the frozen state, or gives it up. */
static void drop_frozen(struct slice *slice)
{
	if (slice->frozen != slice->data)
		free(slice->frozen);
	slice->frozen = NULL;
	list_remove(&slice->frozen_link);
}

static struct slice *slice_create(const struct cache *cache, uint64_t host_offset,
				  enum cache_stage stage)
{
	struct slice *slice = calloc(1, sizeof(*slice));

	if (!slice)
		return NULL;
	slice->data = malloc(cache->slice_size);
	if (!slice->data) {
		free(slice);
		return NULL;
	}
	slice->host_offset = host_offset;
	slice->stage = stage;
	list_init(&slice->lru);
	list_init(&slice->dirty_link);
	list_init(&slice->frozen_link);
	return slice;
}

static void slice_free(struct slice *slice)
{
	if (slice->frozen != slice->data)
		free(slice->frozen);
	free(slice->data);
	free(slice);
}

/* Remove from every list and from the hash, and free. */
static void slice_drop(struct cache *cache, struct slice *slice)
{
	assert(slice->pins == 0);
	set_clean(cache, slice);
	if (is_frozen(slice))
		drop_frozen(slice);
	list_remove(&slice->lru);
	unhash(cache, slice);
	slice_free(slice);
}

/* Free the slice that was used longest ago, if any can go. */
static void evict_one(struct cache *cache)
{
	if (!list_is_empty(&cache->lru))
		slice_drop(cache, list_entry(cache->lru.prev, struct slice, lru));
}

/* ---- the cache ---- */

int cache_init(struct cache *cache, struct hostfile *file, size_t slice_size, size_t limit)
{
	size_t buckets = MIN_SLICES;

	*cache = (struct cache){ .file = file, .slice_size = slice_size };
	cache->limit = limit / slice_size;
	if (cache->limit < MIN_SLICES)
		cache->limit = MIN_SLICES;
	while (buckets < cache->limit)
		buckets *= 2;
	cache->buckets = calloc(buckets, sizeof(*cache->buckets));
	if (!cache->buckets)
		return -ENOMEM;
	cache->bucket_mask = buckets - 1;
	list_init(&cache->lru);
	for (size_t stage = 0; stage < STAGE_COUNT; stage++) {
		list_init(&cache->dirty[stage]);
		list_init(&cache->frozen[stage]);
	}
	return 0;
}

void cache_finish(struct cache *cache)
{
	if (!cache->buckets)
		return;
	for (size_t bucket = 0; bucket <= cache->bucket_mask; bucket++)
		while (cache->buckets[bucket])
			slice_drop(cache, cache->buckets[bucket]);
	assert(cache->count == 0 && cache->dirty_count == 0);
	free(cache->buckets);
	cache->buckets = NULL;
}

int cache_get(struct cache *cache, uint64_t host_offset, enum cache_stage stage, struct slice **ret)
{
	struct slice *slice;
	struct slice **bucket;
	int r;

	assert(is_aligned(host_offset, cache->slice_size));
	slice = find_slice(cache, host_offset);
	if (slice) {
		slice->pins++;
		list_remove(&slice->lru);
		*ret = slice;
		return 0;
	}
	if (cache->count >= cache->limit)
		evict_one(cache);
	slice = slice_create(cache, host_offset, stage);
	if (!slice)
		return -ENOMEM;
	cache->reads++;
	r = hostfile_read(cache->file, slice->data, cache->slice_size, host_offset);
	if (r < 0) {
		slice_free(slice);
		return r;
	}
	bucket = bucket_of(cache, host_offset);
	slice->hash_next = *bucket;
	*bucket = slice;
	cache->count++;
	slice->pins = 1;
	*ret = slice;
	return 0;
}

void cache_put(struct cache *cache, struct slice *slice)
{
	assert(slice->pins > 0);
	slice->pins--;
	settle(cache, slice);
	/* It had to grow while all was dirty or pinned: come back. */
	while (cache->count > cache->limit && !list_is_empty(&cache->lru))
		evict_one(cache);
}

int cache_modify(struct cache *cache, struct slice *slice)
{
	assert(slice->pins > 0);
	if (slice->frozen == slice->data) {
		uint8_t *copy = malloc(cache->slice_size);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, slice->data, cache->slice_size);
		slice->data = copy;
	}
	set_dirty(cache, slice);
	return 0;
}

void cache_forget(struct cache *cache, uint64_t host_offset, uint64_t length)
{
	for (uint64_t at = host_offset; at < host_offset + length; at += cache->slice_size) {
		struct slice *slice = find_slice(cache, at);

		/*
		 * A slice in use here can only be another table of an image that contradicts
		 * itself.
		 */
		if (slice && slice->pins == 0)
			slice_drop(cache, slice);
	}
}

bool cache_wants_cleaning(const struct cache *cache)
{
	return cache->dirty_count > cache->limit / 2;
}

bool cache_is_dirty(const struct cache *cache, enum cache_stage stage)
{
	return !list_is_empty(&cache->dirty[stage]) || !list_is_empty(&cache->frozen[stage]);
}

/* ---- writing ---- */

void cache_freeze(struct cache *cache, enum cache_stage stage)
{
	assert(list_is_empty(&cache->frozen[stage]));
	list_for_each_safe(link, &cache->dirty[stage]) {
		struct slice *slice = list_entry(link, struct slice, dirty_link);

		set_clean(cache, slice);
		slice->frozen = slice->data;
		list_append(&cache->frozen[stage], &slice->frozen_link);
	}
}

void cache_thaw(struct cache *cache, enum cache_stage stage)
{
	list_for_each_safe(link, &cache->frozen[stage]) {
		struct slice *slice = list_entry(link, struct slice, frozen_link);

		/* Where it has changed since, the newer state is dirty already. */
		set_dirty(cache, slice);
		drop_frozen(slice);
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct slice *const *left = a, *const *right = b;

	return ((*left)->host_offset > (*right)->host_offset) -
	       ((*left)->host_offset < (*right)->host_offset);
}

/* Write the slices from @slices on that lie one behind the other. Sets *ret to how many. */
static int write_run(struct cache *cache, struct slice **slices, size_t count, size_t *ret)
{
	struct iovec iov[MAX_RUN];
	size_t run = 0;
	int r;

	while (run < count && run < MAX_RUN &&
	       slices[run]->host_offset == slices[0]->host_offset + run * cache->slice_size) {
		iov[run] = (struct iovec){ slices[run]->frozen, cache->slice_size };
		run++;
	}
	r = hostfile_writev(cache->file, iov, (int)run, slices[0]->host_offset);
	if (r < 0)
		return r;
	*ret = run;
	return 0;
}

static int write_sorted(struct cache *cache, struct slice **slices, size_t count)
{
	while (count > 0) {
		size_t run;
		int r = write_run(cache, slices, count, &run);

		if (r < 0)
			return r;
		for (size_t i = 0; i < run; i++) {
			drop_frozen(slices[i]);
			settle(cache, slices[i]);
		}
		slices += run;
		count -= run;
	}
	return 0;
}

int cache_write_frozen(struct cache *cache, enum cache_stage stage)
{
	_cleanup_free_ struct slice **slices = NULL;
	size_t count = 0, capacity = 0;
	int r = 0;

	list_for_each(link, &cache->frozen[stage]) {
		r = array_reserve_one(&slices, count, &capacity, sizeof(*slices));
		if (r < 0)
			break;
		slices[count++] = list_entry(link, struct slice, frozen_link);
	}
	if (r == 0 && count > 0) {
		qsort(slices, count, sizeof(*slices), by_offset);
		r = write_sorted(cache, slices, count);
	}
	if (r < 0)
		cache_thaw(cache, stage);
	return r;
}
