/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: open any image for reading, and look at all that it is said to hold: what it is, its
 * snapshots, where data lies, and the data.
 *
 * What must hold: nothing is written; what is a hole reads as zeroes; to read twice, and in pieces,
 * comes to the same.
 */
#include "disk.h"
#include "host.h"

#include "align.h"
#include "bytes.h"

#include <errno.h>

#define MAX_SNAPSHOTS 20
#define MAX_SHOWN     2
#define MAX_STEPS     50
#define PIECE         4096u

static void check_info(struct disk *disk)
{
	struct imgfmt_info info;

	imgfmt_get_info(disk->image, &info);
	MUST(info.format && info.path);
	MUST(info.size == imgfmt_size(disk->image) && info.size <= INT64_MAX);
	for (unsigned int i = 0; i < info.feature_count; i++) {
		MUST(memchr(info.features[i].name, '\0', sizeof(info.features[i].name)));
		MUST(memchr(info.features[i].value, '\0', sizeof(info.features[i].value)));
	}
	MUST(!imgfmt_backing(disk->image) || info.backing_name);
}

/* libqcow, which decrypts, does not say whether the host has failed or the image is damaged. */
static bool may_fail(const struct disk *disk, int r)
{
	return r == -EUCLEAN || r == -ENOMEM || (r == -EIO && disk->flags & DISK_PASSPHRASE);
}

/* The start of an extent: as one, and in two pieces. */
static void check_reading(struct disk *disk, uint64_t offset, uint64_t length, bool data)
{
	static uint8_t whole[PIECE], pieces[PIECE];
	size_t count = (size_t)min_u64(length, PIECE), half = count / 2;
	int r;

	r = CALL(imgfmt_read(disk->image, whole, count, offset));
	if (r < 0) {
		MUST(may_fail(disk, r));
		return;
	}
	MUST(data || all_zero(whole, count));
	r = CALL(imgfmt_read(disk->image, pieces, half, offset));
	if (r == 0)
		r = CALL(imgfmt_read(disk->image, pieces + half, count - half, offset + half));
	MUST(r == 0 || r == -ENOMEM);
	MUST(r < 0 || memcmp(whole, pieces, count) == 0);
}

/* The disk from @offset on, a few steps of it. */
static void check_map(struct disk *disk, uint64_t offset)
{
	uint64_t size = imgfmt_size(disk->image), length;

	for (unsigned int i = 0; i < MAX_STEPS && offset < size; i++, offset += length) {
		bool data;
		int r = CALL(imgfmt_status(disk->image, offset, size - offset, &data, &length));

		if (r < 0) {
			MUST(may_fail(disk, r));
			length = 512;
			continue;
		}
		MUST(length > 0 && length <= size - offset);
		check_reading(disk, offset, length, data);
		if (length > PIECE)
			check_reading(disk, offset + length - PIECE, PIECE, data);
	}
}

/* What is found lies on the way, and a hole reads as zeroes. */
static void check_seek(struct disk *disk, uint64_t offset, enum imgfmt_wanted wanted)
{
	uint64_t size = imgfmt_size(disk->image), found;
	int r = CALL(imgfmt_seek(disk->image, offset, wanted, &found));

	if (r < 0) {
		MUST(may_fail(disk, r) ||
		     (r == -ENXIO && (offset >= size || wanted == IMGFMT_DATA)));
		return;
	}
	MUST(found >= offset && found <= size && (found < size || wanted == IMGFMT_HOLE));
	if (wanted == IMGFMT_HOLE && found < size)
		check_reading(disk, found, 1, false);
}

static void check_disk(struct disk *disk)
{
	uint64_t size = imgfmt_size(disk->image);
	uint8_t byte;

	MUST(imgfmt_is_read_only(disk->image));
	MUST(CALL(imgfmt_read(disk->image, &byte, 1, size)) == -EINVAL);
	MUST(CALL(imgfmt_write(disk->image, &byte, 0, 0)) == -EROFS);
	check_map(disk, 0);
	check_map(disk, size / 2);
	check_map(disk, size - min_u64(size, 65536));
	check_seek(disk, 0, IMGFMT_DATA);
	check_seek(disk, 0, IMGFMT_HOLE);
	check_seek(disk, size / 2 + 1, IMGFMT_DATA);
	check_seek(disk, size / 2 + 1, IMGFMT_HOLE);
}

/* Look at the snapshots. Returns how many there are, and the ids of some. */
static unsigned int list_snapshots(struct disk *disk, struct imgfmt_snapshot shown[MAX_SHOWN])
{
	unsigned int count = 0;

	while (count < MAX_SNAPSHOTS) {
		struct imgfmt_snapshot snapshot;
		int r = CALL(imgfmt_get_snapshot(disk->image, count, &snapshot));

		if (r < 0) {
			MUST(r == -ENOENT || r == -EUCLEAN || r == -ENOMEM);
			break;
		}
		MUST(memchr(snapshot.id, '\0', sizeof(snapshot.id)));
		MUST(memchr(snapshot.name, '\0', sizeof(snapshot.name)));
		if (count < MAX_SHOWN)
			shown[count] = snapshot;
		count++;
	}
	return (unsigned int)min_u64(count, MAX_SHOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imgfmt_snapshot shown[MAX_SHOWN];
	unsigned int flags, snapshots;
	struct disk disk;

	disk_load(&disk, data, size);
	flags = disk.flags | DISK_READ_ONLY;
	if (disk_open(&disk, flags, NULL) < 0)
		return 0;
	check_info(&disk);
	snapshots = list_snapshots(&disk, shown);
	if (!(flags & DISK_DESCRIBE_ONLY))
		check_disk(&disk);
	disk_close(&disk);
	for (unsigned int i = 0; i < snapshots && !(flags & DISK_DESCRIBE_ONLY); i++) {
		const char *wanted = i ? shown[i].name : shown[i].id;

		if (disk_open(&disk, flags, wanted) < 0)
			continue;
		check_disk(&disk);
		disk_close(&disk);
	}
	return 0;
}
