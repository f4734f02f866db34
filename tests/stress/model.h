/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a disk may hold while many threads change it at once.
 *
 * The disk is counted in units of 64 bytes, and every word that is written says which change wrote
 * it, and where. A change has a start and an end, ticks of one clock. A reader notes for each unit,
 * before it reads, the latest start of a change that has ended: what it then sees must be of a
 * change that had not ended at that tick, as anything older was written over for sure. Of changes
 * that overlap in time any may be seen.
 *
 * Functions may be called from many threads, but for init, finish and open_life.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNIT       64u
#define WORD       8u
#define UNIT_WORDS (UNIT / WORD)

struct unit {
	_Atomic uint64_t superseded; /* the latest start of a change that has ended */
	_Atomic uint64_t zeroed;     /* the latest end of one that left zeroes */
	_Atomic uint64_t zeroing;    /* how many of those are under way */
};

/* One change of the size. */
struct resize {
	uint64_t start, end; /* ticks */
	uint64_t from, to;   /* bytes */
};

struct model {
	uint64_t unit_count; /* of the largest disk that may come */
	struct unit *units;
	uint64_t *initial; /* what each word was in the beginning; constant while threads run */
	uint64_t first_id; /* of this life */
	_Atomic uint64_t next_id;
	_Atomic uint64_t *ends; /* of the writes of this life, by their ids */
	uint64_t capacity;      /* how many there may be */
	_Atomic uint64_t clock;
	uint64_t least_size; /* the disk is never smaller */

	pthread_mutex_t mutex; /* all below */
	struct resize *resizes;
	size_t resize_count, resize_capacity;
	uint64_t size;
};

/* A change that is under way. */
struct change {
	uint64_t id; /* 0: it leaves zeroes */
	uint64_t start;
	uint64_t guest_offset, length;
};

/* What a reader knew before it read. */
struct view {
	uint64_t start;
	uint64_t *superseded; /* for each unit of the range */
};

/* @max_size: no disk is larger. @writes: no life has more. */
void model_init(struct model *model, uint64_t max_size, uint64_t writes);
void model_finish(struct model *model);

/*
 * Begin a life with a disk that holds @content, @size bytes. Its size will be @least_size or more
 * all the time.
 */
void model_open_life(struct model *model, const void *content, uint64_t size, uint64_t least_size);

uint64_t model_tick(struct model *model);

/* Ranges are whole units. A write gets its id, with which its words are to be filled. */
struct change model_begin_write(struct model *model, uint64_t guest_offset, uint64_t length);
struct change model_begin_zero(struct model *model, uint64_t guest_offset, uint64_t length);

/* @done: false where it was refused, and has changed nothing. */
void model_end(struct model *model, const struct change *change, bool done);

/* The words of a write. */
void model_fill(const struct change *change, uint64_t *words);

/* The size changes; one caller at a time. To be ended with model_end(). */
struct change model_begin_resize(struct model *model, uint64_t size);
void model_end_resize(struct model *model, const struct change *change, uint64_t size);

/* The smallest and the largest size that the disk has had since the tick @start. */
void model_sizes_since(struct model *model, uint64_t start, uint64_t *ret_least,
		       uint64_t *ret_most);

/* Before reading a range; @superseded has room for its units. */
struct view model_look(struct model *model, uint64_t guest_offset, uint64_t length,
		       uint64_t *superseded);

/*
 * Is @words, or zeroes where it is NULL, something that a reader may have seen? Otherwise says in
 * @text why not.
 */
bool model_allows(struct model *model, const struct view *view, uint64_t guest_offset,
		  uint64_t length, const uint64_t *words, char *text, size_t capacity);
