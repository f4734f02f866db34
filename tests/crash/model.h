/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each sector of a disk may hold at any moment, given which requests began and ended when.
 *
 * A version is what a request makes of a sector. It may be seen once the request has begun, and
 * not any more once another that began after its end is known to be there: because that one ended
 * before a barrier began (a flush, where the machine may die; a writeback, where only the process
 * may), and the barrier has ended. Contents are compared by their hashes; only where requests
 * changed parts of a sector, which may be there without each other, the bytes are looked at one
 * by one.
 */
#pragma once

#include "memfile.h"

#include <stdbool.h>

enum barrier_kind {
	BARRIER_WRITEBACK, /* survives the death of the process */
	BARRIER_FLUSH,     /* survives a power cut */
};

struct version {
	unsigned int request;
	uint64_t start, end;  /* ticks; while it is under way it ends never */
	uint64_t hash, other; /* either of the two */
	uint8_t *bytes;       /* of the sector; NULL: zeroes */
	bool partial;         /* the request changes only some of the bytes */
};

struct history {
	struct version *versions;
	size_t count, capacity;
};

struct barrier {
	enum barrier_kind kind;
	uint64_t start, end;
};

struct model {
	struct history *sectors;
	size_t sector_count, sector_capacity;
	struct history size; /* of the disk; the number in place of a hash */
	struct barrier *barriers;
	size_t barrier_count, barrier_capacity;
};

#define MODEL_NEVER UINT64_MAX

/* The hash of SECTOR bytes. */
uint64_t model_hash(const uint8_t *sector);

/* The hash of a sector of zeroes. */
uint64_t model_hash_zero(void);

/* The disk begins as @size bytes of @content. */
void model_init(struct model *model, const uint8_t *content, uint64_t size);
void model_finish(struct model *model);

/* What a request makes of a sector. */
struct change {
	unsigned int request;
	uint64_t start;
	const uint8_t *bytes; /* NULL: zeroes */
	uint64_t other;       /* another hash that is right too, or 0 */
	bool partial;
};

/* A request that is to change a sector, or the size, begins. */
void model_begin_sector(struct model *model, size_t sector, const struct change *change);
void model_begin_size(struct model *model, unsigned int request, uint64_t start, uint64_t size);

/* The request has ended for a sector, or for the size. */
void model_end_sector(struct model *model, size_t sector, unsigned int request, uint64_t end);
void model_end_size(struct model *model, unsigned int request, uint64_t end);

void model_add_barrier(struct model *model, enum barrier_kind kind, uint64_t start, uint64_t end);

/* A moment at which a disk is looked at. */
struct moment {
	uint64_t now;   /* what began before this tick may be seen */
	uint64_t known; /* what ended before this tick is there */
};

/* The moment of a crash at a tick: what is known is what barriers of at least @least see to. */
struct moment model_moment(const struct model *model, uint64_t now, enum barrier_kind least);

bool model_allows_size(const struct model *model, struct moment moment, uint64_t size);

/*
 * Compare @size bytes of content, whole sectors. Returns the first sector that is none of what it
 * may be, or @size / SECTOR.
 */
size_t model_compare(const struct model *model, struct moment moment, const uint8_t *content,
		     size_t first_sector, uint64_t size);

/* Print what a sector may hold, and every version it ever had. */
void model_explain(const struct model *model, struct moment moment, size_t sector);
