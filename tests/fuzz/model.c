/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The start of the disk, in memory; see model.h. Knowledge is by sector. */
#include "model.h"

#include "host.h"

#include "align.h"

#include <errno.h>

#define SECTOR 512u
#define PIECE  16384u

static uint8_t content[MODEL_WINDOW];
static bool unknown[MODEL_WINDOW / SECTOR];
static uint64_t disk_size;

/* How much of a range lies in the window, and in the disk. */
static uint64_t inside(uint64_t count, uint64_t guest_offset)
{
	uint64_t end = min_u64(MODEL_WINDOW, disk_size);

	return guest_offset < end ? min_u64(count, end - guest_offset) : 0;
}

/* Read a piece, or what can be read of its sectors, and forget the others. */
static void read_piece(struct disk *disk, size_t count, uint64_t at)
{
	if (CALL(imgfmt_read(disk->image, content + at, count, at)) == 0)
		return;
	for (size_t i = 0; i < count; i += SECTOR) {
		size_t length = (size_t)min_u64(SECTOR, count - i);

		if (CALL(imgfmt_read(disk->image, content + at + i, length, at + i)) < 0)
			model_forget(length, at + i);
	}
}

void model_begin(struct disk *disk)
{
	disk_size = imgfmt_size(disk->image);
	memset(unknown, 0, sizeof(unknown));
	for (uint64_t at = 0; inside(PIECE, at) > 0; at += PIECE)
		read_piece(disk, (size_t)inside(PIECE, at), at);
}

void model_write(const uint8_t *bytes, uint64_t count, uint64_t guest_offset)
{
	uint64_t end;

	count = inside(count, guest_offset);
	if (count == 0)
		return;
	end = guest_offset + count;
	if (bytes)
		memcpy(content + guest_offset, bytes, (size_t)count);
	else
		memset(content + guest_offset, 0, (size_t)count);
	/* Sectors of which all is known now, also the last one of the disk. */
	if (end == disk_size)
		end = align_up(end, SECTOR);
	for (uint64_t i = align_up(guest_offset, SECTOR); i + SECTOR <= end; i += SECTOR)
		unknown[i / SECTOR] = false;
}

void model_forget(uint64_t count, uint64_t guest_offset)
{
	count = inside(count, guest_offset);
	if (count == 0)
		return;
	for (uint64_t i = align_down(guest_offset, SECTOR); i < guest_offset + count; i += SECTOR)
		unknown[i / SECTOR] = true;
}

void model_resize(uint64_t size)
{
	uint64_t old_size = disk_size;

	disk_size = size;
	if (size > old_size)
		model_write(NULL, size - old_size, old_size);
}

bool model_knows(uint64_t count, uint64_t guest_offset)
{
	if (inside(count, guest_offset) < count)
		return false;
	for (uint64_t i = align_down(guest_offset, SECTOR); i < guest_offset + count; i += SECTOR)
		if (unknown[i / SECTOR])
			return false;
	return true;
}

bool model_agrees(const uint8_t *bytes, uint64_t count, uint64_t guest_offset)
{
	uint64_t left = inside(count, guest_offset);

	while (left > 0) {
		uint64_t length = min_u64(left, SECTOR - guest_offset % SECTOR);

		if (!unknown[guest_offset / SECTOR] &&
		    memcmp(bytes, content + guest_offset, (size_t)length) != 0)
			return false;
		bytes += length;
		guest_offset += length;
		left -= length;
	}
	return true;
}

void model_compare(struct disk *disk)
{
	static uint8_t bytes[PIECE];

	MUST(imgfmt_size(disk->image) == disk_size);
	for (uint64_t at = 0; inside(PIECE, at) > 0; at += PIECE) {
		uint64_t count = inside(PIECE, at);
		int r = CALL(imgfmt_read(disk->image, bytes, (size_t)count, at));

		if (r < 0)
			MUST(r == -ENOMEM || !model_knows(count, at));
		else
			MUST(model_agrees(bytes, count, at));
	}
}
