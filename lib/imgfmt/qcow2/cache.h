/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A write-back cache of slices of an image's tables.
 *
 * A slice is a few KiB of an L1 table, L2 table, refcount table or refcount block, aligned in the
 * host file. It is pinned from cache_get() to cache_put(); only unpinned clean slices are evicted,
 * so the cache goes beyond its limit where it must: callers see to it that dirty slices are
 * written in time (cache_wants_cleaning()).
 *
 * Dirty slices belong to a stage, and the stages reach the disk one after the other: that is
 * how the invariants are kept, see flush.c. What a later stage writes is frozen when the
 * flush begins: a slice that changes while the flush is under way is copied first, and the change
 * is for the next flush.
 *
 * All functions are called with the image's meta mutex held.
 */
#pragma once

#include "../hostfile.h"
#include "list.h"

enum cache_stage {
	STAGE_REFCOUNTS, /* refcount blocks: together with data and new tables */
	STAGE_REFTABLE,
	STAGE_MAP, /* L1 and L2 tables */
	STAGE_COUNT,
};

struct slice {
	struct slice *hash_next;
	struct list lru;         /* in cache->lru while it may be evicted */
	struct list dirty_link;  /* in cache->dirty[stage] while there are changes to be written */
	struct list frozen_link; /* in cache->frozen[stage] while a flush has it to write */
	uint64_t host_offset;
	enum cache_stage stage;
	unsigned int pins;
	uint8_t *data;
	uint8_t *frozen; /* what the flush under way writes: the same as data until that changes */
};

struct cache {
	struct hostfile *file;
	size_t slice_size;
	size_t limit; /* slices */
	size_t count;
	size_t dirty_count;
	uint64_t reads; /* how often a slice was read from the file, ever */
	struct slice **buckets;
	size_t bucket_mask;
	struct list lru; /* what may be evicted, the one used last in front */
	struct list dirty[STAGE_COUNT];
	struct list frozen[STAGE_COUNT];
};

/* @limit is in bytes; at least a few slices are kept whatever it says. */
int cache_init(struct cache *cache, struct hostfile *file, size_t slice_size, size_t limit);

/* Drop everything, written or not. */
void cache_finish(struct cache *cache);

/*
 * Pin the slice at @host_offset, a multiple of the slice size; reads it if it is not there. A
 * slice that is there already keeps its stage.
 */
int cache_get(struct cache *cache, uint64_t host_offset, enum cache_stage stage,
	      struct slice **ret);

void cache_put(struct cache *cache, struct slice *slice);

/*
 * Announce a change of a pinned slice: it is dirty from now on. slice->data may have moved, so look
 * at it again. -ENOMEM: nothing has happened, and the slice must not be changed.
 */
int cache_modify(struct cache *cache, struct slice *slice);

/* Drop the slices of a range, changed or not: what they are slices of is no table any more. */
void cache_forget(struct cache *cache, uint64_t host_offset, uint64_t length);

/* Is so much of the cache dirty that a flush should come before more is changed? */
bool cache_wants_cleaning(const struct cache *cache);

/* Are there changes of @stage, frozen or not? */
bool cache_is_dirty(const struct cache *cache, enum cache_stage stage);

/* From now on cache_write_frozen() writes what @stage is like now. */
void cache_freeze(struct cache *cache, enum cache_stage stage);

/* Write what was frozen, in few calls. On failure all of it counts as dirty again. */
int cache_write_frozen(struct cache *cache, enum cache_stage stage);

/* Give up what was frozen and not written: it counts as dirty again. */
void cache_thaw(struct cache *cache, enum cache_stage stage);
