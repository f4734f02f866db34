/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a disk may hold, when requests may have failed.
 *
 * Each sector is expected to hold certain bytes. Where a request that touched it has failed, or
 * where it is not known whether a change is on the disk, each byte may also be one of others.
 */
#pragma once

#include "memfile.h"

#include <stdbool.h>

/* Another content that a sector may have, byte by byte. */
struct other {
	struct other *next;
	uint8_t bytes[SECTOR];
};

struct view {
	uint8_t *bytes; /* expected, up to max_size; zero beyond the end */
	struct other **others;
	uint64_t max_size;
	uint64_t sizes[16]; /* that the disk may have; the first is expected */
	unsigned int size_count;
};

/*
 * The disk holds @bytes, @size of them, which are copied. It never becomes larger than @max_size.
 */
void view_init(struct view *view, const uint8_t *bytes, uint64_t size, uint64_t max_size);
void view_finish(struct view *view);

/* @view becomes all that @from is; or all but the sizes. */
void view_copy(struct view *view, const struct view *from);
void view_copy_content(struct view *view, const struct view *from);

/* A range holds @bytes, or zeroes where it is NULL, for sure. */
void view_set(struct view *view, uint64_t guest_offset, uint64_t length, const uint8_t *bytes);

/* It may hold them, or may not. */
void view_allow(struct view *view, uint64_t guest_offset, uint64_t length, const uint8_t *bytes);

/* The sectors of a range may hold whatever they may in @from. */
void view_allow_from(struct view *view, const struct view *from, uint64_t guest_offset,
		     uint64_t length);

void view_set_size(struct view *view, uint64_t size);
void view_allow_size(struct view *view, uint64_t size);
bool view_allows_size(const struct view *view, uint64_t size);

/*
 * May a range hold @bytes? Returns the offset in it of the first byte that may not be so, or
 * @length.
 */
uint64_t view_compare(const struct view *view, uint64_t guest_offset, uint64_t length,
		      const uint8_t *bytes);
