/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: open any image for writing, and do what the input says to it.
 *
 * What must hold for every image, however it contradicts itself: of the first cluster only the
 * fields that change by themselves are changed, so that nobody is led to another file; what was
 * written to a place is read there right afterwards. And for an image that is sound before: each
 * read is as a model says, also after closing and opening it; it is never called corrupt; and it is
 * sound afterwards, unless the host failed, and even then but for leaks.
 */
#include "disk.h"
#include "host.h"
#include "model.h"

#include "../crash/check.h"

#include "align.h"
#include "bytes.h"

#include <errno.h>
#include <inttypes.h>

/* Larger images, and those with more tables, are not judged. */
#define MAX_JUDGED    (UINT64_C(2) << 20)
#define MAX_L1        64
#define MAX_SNAPSHOTS 4

/* How much a file may grow for its leaks to be counted: what lies beyond the end is leaked too. */
#define GROWTH (UINT64_C(512) << 10)

#define MAX_COUNT (UINT64_C(128) << 10)

struct run {
	struct disk disk;
	bool qcow2;
	bool sound;           /* it was before, and the model speaks for it */
	uint8_t header[4096]; /* as it was */
	uint64_t judged_size; /* of the file, as it may be afterwards */
	uint64_t leaks;       /* in so much of it, before */
};

struct operation {
	unsigned int kind; /* low bits: what; high bits: how offsets are meant */
	uint64_t where;
	uint64_t length;
};

enum {
	OPERATION_KIND = 0x0f,
	OPERATION_ALIGNED = 0x20, /* to sectors */
	OPERATION_LONG = 0x40,
	OPERATION_FAR = 0x80, /* counted from the end of the disk */
};

/* ---- the image as a file ---- */

static uint32_t header_be32(uint64_t offset)
{
	uint8_t bytes[4];

	host_get(HOST_IMAGE, bytes, sizeof(bytes), offset);
	return get_be32(bytes);
}

/* What is wrong with the image, as if the file had @size bytes. */
static struct check_result check_as(uint64_t size)
{
	struct memfile file = { 0 };
	struct check_result result;

	memfile_resize(&file, size);
	host_get(HOST_IMAGE, file.bytes, (size_t)size, 0);
	check_image(&file, &result);
	memfile_finish(&file);
	return result;
}

/* Nothing contradicts anything. */
static bool is_sound(void)
{
	struct check_result result;

	if (host_size(HOST_IMAGE) > MAX_JUDGED || header_be32(36) > MAX_L1 ||
	    header_be32(60) > MAX_SNAPSHOTS)
		return false;
	result = check_as(host_size(HOST_IMAGE));
	if (result.errors > 0 && getenv("FUZZ_TRACE"))
		fprintf(stderr, "%s\n", result.text);
	return result.errors == 0;
}

/* May a byte of the header change? */
static bool is_changeable(uint64_t offset)
{
	return (offset >= 24 && offset < 32) || (offset >= 36 && offset < 60) ||
	       (offset >= 72 && offset < 80) || (offset >= 88 && offset < 96);
}

/* The rest of the first cluster, which names other files, must stay. */
static void check_header(const struct run *run)
{
	uint8_t now[sizeof(run->header)];
	uint64_t end = min_u64(sizeof(now), UINT64_C(1) << min_u64(get_be32(run->header + 20), 21));

	if (!run->qcow2)
		return;
	host_get(HOST_IMAGE, now, sizeof(now), 0);
	for (uint64_t i = 0; i < end; i++)
		MUST(now[i] == run->header[i] || is_changeable(i));
}

/* ---- operations ---- */

static struct operation take_operation(struct input *input)
{
	struct operation operation;

	operation.kind = (unsigned int)input_number(input, 1);
	operation.where = input_number(input, 3);
	operation.length = input_number(input, 2);
	return operation;
}

/* Turn the numbers of an operation into a range of the disk; false where there is none. */
static bool find_range(const struct run *run, struct operation *operation)
{
	uint64_t size = imgfmt_size(run->disk.image);
	uint64_t window = min_u64(size, MODEL_WINDOW);

	if (size == 0)
		return false;
	operation->where %= window;
	if (operation->kind & OPERATION_FAR)
		operation->where += size - window;
	if (operation->kind & OPERATION_LONG)
		operation->length *= 8;
	if (operation->kind & OPERATION_ALIGNED) {
		operation->where = align_down(operation->where, 512);
		operation->length = align_up(operation->length, 512);
	}
	operation->length = min_u64(operation->length, size - operation->where);
	operation->length = min_u64(operation->length, MAX_COUNT);
	return operation->length > 0;
}

/* A failure is only right where something is wrong with the image, the host, or memory. */
static void check_failure(const struct run *run, int r)
{
	MUST(r == -EIO || r == -EUCLEAN || r == -EROFS || r == -ENOSPC || r == -EFBIG ||
	     r == -ENOMEM || r == -EPERM || r == -ENOTSUP);
	MUST(r != -EIO || host_has_failed());
	MUST(!run->sound || r != -EROFS);
}

/*
 * Right after writing: a part of it that no two clusters have, as in an image that contradicts
 * itself they may be one.
 */
static void check_written(const struct run *run, const uint8_t *bytes,
			  const struct operation *operation)
{
	static uint8_t again[512];
	size_t count = (size_t)min_u64(operation->length, 512 - operation->where % 512);
	int r;

	if (!run->sound && operation->where % 512 + operation->length > 512)
		return;
	r = CALL(imgfmt_read(run->disk.image, again, count, operation->where));
	MUST(r == 0 || r == -ENOMEM);
	MUST(r < 0 || memcmp(again, bytes, count) == 0);
}

static void do_write(struct run *run, struct operation *operation, unsigned int nth)
{
	static uint8_t bytes[MAX_COUNT];
	int r;

	if (!find_range(run, operation))
		return;
	for (size_t i = 0; i < operation->length; i++)
		bytes[i] = (uint8_t)(1 + (i / 512 + i + nth * 37) % 255);
	r = CALL(imgfmt_write(run->disk.image, bytes, (size_t)operation->length, operation->where));
	if (r < 0) {
		check_failure(run, r);
		model_forget(operation->length, operation->where);
		return;
	}
	check_written(run, bytes, operation);
	model_write(bytes, operation->length, operation->where);
}

static void do_zero(struct run *run, struct operation *operation, enum imgfmt_zero_mode mode)
{
	static const uint8_t zeroes[512];
	int r;

	if (!find_range(run, operation))
		return;
	r = CALL(imgfmt_zero(run->disk.image, operation->where, operation->length, mode));
	if (r < 0) {
		check_failure(run, r);
		model_forget(operation->length, operation->where);
		return;
	}
	check_written(run, zeroes, operation);
	model_write(NULL, operation->length, operation->where);
}

static void do_read(struct run *run, struct operation *operation)
{
	static uint8_t bytes[MAX_COUNT];
	int r;

	if (!find_range(run, operation))
		return;
	r = CALL(imgfmt_read(run->disk.image, bytes, (size_t)operation->length, operation->where));
	if (r < 0)
		MUST(r == -ENOMEM || !run->sound ||
		     !model_knows(operation->length, operation->where));
	else if (run->sound)
		MUST(model_agrees(bytes, operation->length, operation->where));
}

/* What is said to be a hole reads as zeroes. */
static void check_hole(const struct run *run, uint64_t guest_offset, uint64_t end)
{
	static const uint8_t zeroes[MODEL_WINDOW];

	end = min_u64(end, MODEL_WINDOW);
	if (run->sound && guest_offset < end)
		MUST(model_agrees(zeroes, end - guest_offset, guest_offset));
}

static void do_status(struct run *run, struct operation *operation)
{
	uint64_t length;
	bool data;
	int r;

	if (!find_range(run, operation))
		return;
	r = CALL(imgfmt_status(run->disk.image, operation->where, operation->length, &data,
			       &length));
	MUST(r == 0 || r == -EUCLEAN || r == -ENOMEM);
	if (r < 0)
		return;
	MUST(length > 0 && length <= operation->length);
	if (!data)
		check_hole(run, operation->where, operation->where + length);
}

static void do_seek(struct run *run, struct operation *operation)
{
	uint64_t found, size = imgfmt_size(run->disk.image);
	int r;

	if (!find_range(run, operation))
		return;
	r = CALL(imgfmt_seek(run->disk.image, operation->where, IMGFMT_HOLE, &found));
	MUST(r == 0 || r == -EUCLEAN || r == -ENOMEM);
	MUST(r < 0 || (found >= operation->where && found <= size));
	r = CALL(imgfmt_seek(run->disk.image, operation->where, IMGFMT_DATA, &found));
	MUST(r == 0 || r == -ENXIO || r == -EUCLEAN || r == -ENOMEM);
	MUST(r < 0 || (found >= operation->where && found < size));
	if (r == 0 || r == -ENXIO)
		check_hole(run, operation->where, r == 0 ? found : size);
}

static bool has_raw_data_file(const struct run *run)
{
	return run->qcow2 && (get_be64(run->header + 88) & 2) != 0;
}

static void do_truncate(struct run *run, const struct operation *operation)
{
	/* With a raw data file growing takes an entry for each new cluster, so not that far. */
	bool far = operation->kind & OPERATION_FAR && !has_raw_data_file(run);
	unsigned int shift = far ? 20 : 0;
	uint64_t wanted = operation->where << shift, old_size = imgfmt_size(run->disk.image);
	int r = CALL(imgfmt_truncate(run->disk.image, wanted));
	uint64_t size = imgfmt_size(run->disk.image);

	if (r == 0)
		MUST(size == wanted || size == align_up(wanted, 512));
	else
		check_failure(run, r);
	/* What a change of size that failed has dropped reads as anything. */
	if (r < 0)
		model_forget(UINT64_MAX, min_u64(min_u64(wanted, old_size), size));
	model_resize(size);
	if (r < 0)
		model_forget(UINT64_MAX, min_u64(min_u64(wanted, old_size), size));
}

/* Open the image for writing. */
static int open_for_writing(struct run *run)
{
	return disk_open(&run->disk, run->disk.flags & ~(DISK_READ_ONLY | DISK_DESCRIBE_ONLY),
			 NULL);
}

/* Close it, and open it again. Returns false where that was the end. */
static bool do_reopen(struct run *run)
{
	bool corrupt = run->disk.corrupt;
	int r = disk_close(&run->disk);

	check_header(run);
	if (r < 0) {
		MUST(host_has_failed() || !run->sound || r == -ENOMEM || r == -ENOSPC);
		/* What was not written is as it was before, or not: nobody knows. */
		run->sound = false;
	}
	r = open_for_writing(run);
	if (r < 0) {
		MUST(!run->sound || corrupt || r == -ENOMEM);
		return false;
	}
	if (run->sound)
		model_compare(&run->disk);
	else
		model_begin(&run->disk);
	return true;
}

/* Returns false where the image could not be opened any more. */
static bool do_operation(struct run *run, struct operation *operation, unsigned int nth)
{
	int r = 0;

	/* For who replays a find. */
	if (getenv("FUZZ_TRACE"))
		fprintf(stderr,
			"operation 0x%x at %" PRIu64 " length %" PRIu64 "; the disk has %" PRIu64
			"\n",
			operation->kind, operation->where, operation->length,
			imgfmt_size(run->disk.image));
	switch (operation->kind & OPERATION_KIND) {
	case 0:
	case 1:
	case 2:
		do_write(run, operation, nth);
		break;
	case 3:
	case 4:
		do_zero(run, operation, IMGFMT_ZERO_DISCARD);
		break;
	case 5:
		do_zero(run, operation, IMGFMT_ZERO_KEEP);
		break;
	case 6:
		do_read(run, operation);
		break;
	case 7:
		do_status(run, operation);
		break;
	case 8:
		do_truncate(run, operation);
		break;
	case 9:
		r = CALL(imgfmt_flush(run->disk.image));
		break;
	case 10:
		r = CALL(imgfmt_writeback(run->disk.image));
		break;
	case 11:
		return do_reopen(run);
	case 12:
		host_fail_at(1 + (unsigned int)operation->length % 32);
		break;
	case 13:
		do_seek(run, operation);
		break;
	default:
		break;
	}
	if (r < 0)
		check_failure(run, r);
	MUST(!run->sound || !run->disk.corrupt);
	return true;
}

/* All is done: what is in the file now? */
static void check_end(struct run *run)
{
	int r;

	if (run->sound)
		model_compare(&run->disk);
	r = disk_close(&run->disk);
	check_header(run);
	if (!run->sound || !run->qcow2 || host_size(HOST_IMAGE) > MAX_JUDGED ||
	    header_be32(36) > MAX_L1)
		return;
	MUST(is_sound());
	/* The clusters of bitmaps are nobody's, once those are not valid any more. */
	if (r == 0 && !host_has_failed() && !host_memory_refused &&
	    (get_be64(run->header + 88) & 1) == 0 && host_size(HOST_IMAGE) <= run->judged_size)
		MUST(check_as(run->judged_size).leaks <= run->leaks);
}

/* Before anything is done: can this image be expected to work? A raw one can always. */
static void judge(struct run *run)
{
	struct imgfmt_info info;

	imgfmt_get_info(run->disk.image, &info);
	run->qcow2 = strcmp(info.format, "qcow2") == 0;
	run->sound = !run->qcow2 || is_sound();
	run->judged_size = host_size(HOST_IMAGE) + GROWTH;
	if (run->qcow2 && run->sound)
		run->leaks = check_as(run->judged_size).leaks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { 0 };
	unsigned int nth = 0;

	disk_load(&run.disk, data, size);
	host_get(HOST_IMAGE, run.header, sizeof(run.header), 0);
	if (open_for_writing(&run) < 0)
		return 0;
	judge(&run);
	model_begin(&run.disk);
	while (run.disk.operations.count >= DISK_OPERATION_SIZE) {
		struct operation operation = take_operation(&run.disk.operations);

		if (!do_operation(&run, &operation, nth++))
			return 0;
	}
	check_end(&run);
	return 0;
}
