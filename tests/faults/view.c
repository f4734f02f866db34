/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a disk may hold; see view.h. */
#include "view.h"

#include "align.h"
#include "array.h"

#include <stdlib.h>
#include <string.h>

static uint64_t sector_count(const struct view *view)
{
	return view->max_size / SECTOR;
}

void view_init(struct view *view, const uint8_t *bytes, uint64_t size, uint64_t max_size)
{
	*view = (struct view){ .max_size = align_up(max_size, SECTOR) };
	view->bytes = must_calloc(1, (size_t)view->max_size);
	view->others = must_calloc((size_t)sector_count(view), sizeof(struct other *));
	memcpy(view->bytes, bytes, (size_t)size);
	view_set_size(view, size);
}

static void forget_others(struct view *view, uint64_t sector)
{
	while (view->others[sector]) {
		struct other *next = view->others[sector]->next;

		free(view->others[sector]);
		view->others[sector] = next;
	}
}

void view_finish(struct view *view)
{
	for (uint64_t i = 0; i < sector_count(view); i++)
		forget_others(view, i);
	free(view->others);
	free(view->bytes);
}

static void add_other(struct view *view, uint64_t sector, const uint8_t *bytes)
{
	struct other *other;

	if (memcmp(view->bytes + sector * SECTOR, bytes, SECTOR) == 0)
		return;
	for (other = view->others[sector]; other; other = other->next)
		if (memcmp(other->bytes, bytes, SECTOR) == 0)
			return;
	other = must_calloc(1, sizeof(*other));
	memcpy(other->bytes, bytes, SECTOR);
	other->next = view->others[sector];
	view->others[sector] = other;
}

void view_copy_content(struct view *view, const struct view *from)
{
	memcpy(view->bytes, from->bytes, (size_t)view->max_size);
	for (uint64_t i = 0; i < sector_count(view); i++) {
		forget_others(view, i);
		for (const struct other *other = from->others[i]; other; other = other->next)
			add_other(view, i, other->bytes);
	}
}

void view_copy(struct view *view, const struct view *from)
{
	view_copy_content(view, from);
	memcpy(view->sizes, from->sizes, sizeof(view->sizes));
	view->size_count = from->size_count;
}

/* The part of a sector that a range covers: where it begins, and in *ret_count how long it is. */
static uint64_t part_of(uint64_t sector, uint64_t guest_offset, uint64_t length,
			uint64_t *ret_count)
{
	uint64_t start = max_u64(sector * SECTOR, guest_offset);

	*ret_count = min_u64((sector + 1) * SECTOR, guest_offset + length) - start;
	return start;
}

static void put(uint8_t *place, const uint8_t *bytes, uint64_t count)
{
	if (bytes)
		memcpy(place, bytes, (size_t)count);
	else
		memset(place, 0, (size_t)count);
}

void view_set(struct view *view, uint64_t guest_offset, uint64_t length, const uint8_t *bytes)
{
	uint64_t end = align_up(guest_offset + length, SECTOR) / SECTOR;

	for (uint64_t i = guest_offset / SECTOR; i < end; i++) {
		uint64_t count, start = part_of(i, guest_offset, length, &count);
		const uint8_t *from = bytes ? bytes + (start - guest_offset) : NULL;

		put(view->bytes + start, from, count);
		for (struct other *other = view->others[i]; other; other = other->next)
			put(other->bytes + (start - i * SECTOR), from, count);
		if (count == SECTOR)
			forget_others(view, i);
	}
}

void view_allow(struct view *view, uint64_t guest_offset, uint64_t length, const uint8_t *bytes)
{
	uint64_t end = align_up(guest_offset + length, SECTOR) / SECTOR;

	for (uint64_t i = guest_offset / SECTOR; i < end; i++) {
		uint64_t count, start = part_of(i, guest_offset, length, &count);
		uint8_t sector[SECTOR];

		memcpy(sector, view->bytes + i * SECTOR, SECTOR);
		put(sector + (start - i * SECTOR), bytes ? bytes + (start - guest_offset) : NULL,
		    count);
		add_other(view, i, sector);
	}
}

void view_allow_from(struct view *view, const struct view *from, uint64_t guest_offset,
		     uint64_t length)
{
	uint64_t end = align_up(guest_offset + length, SECTOR) / SECTOR;

	for (uint64_t i = guest_offset / SECTOR; i < end; i++) {
		add_other(view, i, from->bytes + i * SECTOR);
		for (const struct other *other = from->others[i]; other; other = other->next)
			add_other(view, i, other->bytes);
	}
}

void view_set_size(struct view *view, uint64_t size)
{
	view->sizes[0] = size;
	view->size_count = 1;
}

void view_allow_size(struct view *view, uint64_t size)
{
	if (!view_allows_size(view, size) && view->size_count < ARRAY_LENGTH(view->sizes))
		view->sizes[view->size_count++] = size;
}

bool view_allows_size(const struct view *view, uint64_t size)
{
	for (unsigned int i = 0; i < view->size_count; i++)
		if (view->sizes[i] == size)
			return true;
	return false;
}

static bool allows_byte(const struct view *view, uint64_t guest_offset, uint8_t byte)
{
	const struct other *other = view->others[guest_offset / SECTOR];

	if (view->bytes[guest_offset] == byte)
		return true;
	while (other && other->bytes[guest_offset % SECTOR] != byte)
		other = other->next;
	return other != NULL;
}

uint64_t view_compare(const struct view *view, uint64_t guest_offset, uint64_t length,
		      const uint8_t *bytes)
{
	if (memcmp(view->bytes + guest_offset, bytes, (size_t)length) == 0)
		return length;
	for (uint64_t i = 0; i < length; i++)
		if (!allows_byte(view, guest_offset + i, bytes[i]))
			return i;
	return length;
}
