/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostfile.h over memory, with a log; see recorder.h.
 *
 * A record holds whole sectors as they are after the write, also where the write was less: a page
 * cache merges writes before it gives sectors to the disk.
 */
#include "recorder.h"

#include "hostfile.h"
#include "schedule.h"

#include "align.h"
#include "array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No descriptor of this process is so large. */
#define FIRST_FD (1 << 20)

/* What discarded bytes are, where they are not zeroes. */
#define GARBAGE 0xdb

struct hostfile {
	struct memfile *file; /* NULL: the slot is free */
	unsigned int id;
	struct recording *recording;
	bool writable;
};

static struct hostfile slots[16];

int recorder_open(struct memfile *file, unsigned int id, struct recording *recording)
{
	for (int i = 0; i < (int)ARRAY_LENGTH(slots); i++) {
		if (slots[i].file)
			continue;
		slots[i] = (struct hostfile){ .file = file, .id = id, .recording = recording };
		return FIRST_FD + i;
	}
	fprintf(stderr, "too many files are open\n");
	exit(2);
}

void recording_finish(struct recording *recording)
{
	for (size_t i = 0; i < recording->count; i++)
		free(recording->records[i].bytes);
	free(recording->records);
	*recording = (struct recording){ 0 };
}

/* ---- life ---- */

int hostfile_create(int fd, bool writable, struct hostfile **ret)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + (int)ARRAY_LENGTH(slots) ||
	    !slots[fd - FIRST_FD].file)
		return -EBADF;
	slots[fd - FIRST_FD].writable = writable;
	*ret = &slots[fd - FIRST_FD];
	return 0;
}

void hostfile_destroy(struct hostfile *file)
{
	if (file)
		file->file = NULL;
}

int hostfile_lock(struct hostfile *file, enum hostfile_role role, struct imgfmt_error *reterr)
{
	(void)file;
	(void)role;
	(void)reterr;
	return 0;
}

int hostfile_size(struct hostfile *file, uint64_t *ret)
{
	*ret = file->file->size;
	return 0;
}

int hostfile_allocated(struct hostfile *file, uint64_t *ret)
{
	*ret = file->file->size;
	return 0;
}

int hostfile_identity(struct hostfile *file, uint64_t *ret_device, uint64_t *ret_inode)
{
	*ret_device = 0;
	*ret_inode = file->id;
	return 0;
}

/* ---- the log ---- */

static struct record *add_record(struct hostfile *file, enum record_kind kind)
{
	struct recording *recording = file->recording;
	struct record *record;

	must_reserve(&recording->records, recording->count, &recording->capacity,
		     sizeof(*recording->records));
	record = &recording->records[recording->count++];
	*record = (struct record){
		.kind = kind,
		.file = file->id,
		.tick = recording_tick(recording),
		.size = file->file->size,
	};
	return record;
}

/*
 * Log the sectors that @length bytes at @offset lie in. @zero: there is nothing but zeroes in
 * them.
 */
static void log_write(struct hostfile *file, uint64_t offset, uint64_t length, bool zero)
{
	uint64_t first = align_down(offset, SECTOR);
	uint64_t end = align_up(offset + length, SECTOR);
	struct record *record;

	if (!file->recording || length == 0)
		return;
	record = add_record(file, RECORD_WRITE);
	record->offset = first;
	record->length = end - first;
	if (zero)
		return;
	record->bytes = must_calloc(1, (size_t)record->length);
	memcpy(record->bytes, file->file->bytes + first, (size_t)record->length);
}

/* ---- reading and writing ---- */

static int check_writable(const struct hostfile *file, uint64_t offset, uint64_t length)
{
	if (!file->writable)
		return -EBADF;
	if (offset > RECORDER_MAX_SIZE || length > RECORDER_MAX_SIZE - offset)
		return -EFBIG;
	return 0;
}

int hostfile_read(struct hostfile *file, void *buffer, size_t count, uint64_t offset)
{
	schedule_point();
	if (offset > UINT64_MAX - count)
		return -EINVAL;
	memfile_read(file->file, buffer, count, offset);
	return 0;
}

int hostfile_write(struct hostfile *file, const void *buffer, size_t count, uint64_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)buffer, count };

	return hostfile_writev(file, &iov, 1, offset);
}

int hostfile_writev(struct hostfile *file, struct iovec *iov, int iov_count, uint64_t offset)
{
	uint64_t at = offset;
	int r;

	schedule_point();
	for (int i = 0; i < iov_count; i++) {
		r = check_writable(file, at, iov[i].iov_len);
		if (r < 0)
			return r;
		memfile_write(file->file, iov[i].iov_base, iov[i].iov_len, at);
		at += iov[i].iov_len;
	}
	log_write(file, offset, at - offset, false);
	schedule_point();
	return 0;
}

int hostfile_zero(struct hostfile *file, uint64_t offset, uint64_t length, bool punch)
{
	bool whole = is_aligned(offset | length, SECTOR);
	int r = check_writable(file, offset, length);

	(void)punch;
	schedule_point();
	if (r < 0 || length == 0)
		return r;
	if (offset + length > file->file->size)
		memfile_resize(file->file, offset + length);
	memset(file->file->bytes + offset, 0, (size_t)length);
	log_write(file, offset, length, whole);
	schedule_point();
	return 0;
}

void hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length)
{
	uint64_t first = align_up(offset, SECTOR);
	uint64_t end = align_down(min_u64(offset + length, file->file->size), SECTOR);
	struct record *record;

	schedule_point();
	if (check_writable(file, offset, length) < 0 || first >= end)
		return;
	if (!file->recording) {
		memset(file->file->bytes + first, 0, (size_t)(end - first));
		return;
	}
	record = add_record(file, RECORD_DISCARD);
	record->offset = first;
	record->length = end - first;
	if (file->recording->garbage && file->id == FILE_IMAGE) {
		record->bytes = must_calloc(1, (size_t)record->length);
		memset(record->bytes, GARBAGE, (size_t)record->length);
	}
	if (prng_chance(&file->recording->prng, 50))
		memset(file->file->bytes + first, record->bytes ? GARBAGE : 0,
		       (size_t)(end - first));
	schedule_point();
}

/* ---- size and durability ---- */

static int resize(struct hostfile *file, uint64_t size)
{
	memfile_resize(file->file, size);
	if (file->recording)
		add_record(file, RECORD_RESIZE);
	schedule_point();
	return 0;
}

int hostfile_truncate(struct hostfile *file, uint64_t size)
{
	int r = check_writable(file, 0, size);

	schedule_point();
	return r < 0 || size == file->file->size ? r : resize(file, size);
}

int hostfile_extend(struct hostfile *file, uint64_t size)
{
	int r = check_writable(file, 0, size);

	schedule_point();
	return r < 0 || size <= file->file->size ? r : resize(file, size);
}

int hostfile_sync(struct hostfile *file)
{
	size_t covered;

	if (!file->writable || !file->recording)
		return 0;
	schedule_point();
	/* What others write from here on is not promised anything. */
	covered = file->recording->count;
	schedule_rest();
	add_record(file, RECORD_SYNC)->covered = covered;
	schedule_point();
	return 0;
}

int hostfile_status(struct hostfile *file, uint64_t offset, uint64_t length, bool *ret_data,
		    uint64_t *ret_length)
{
	*ret_data = offset < file->file->size;
	*ret_length = *ret_data ? min_u64(length, file->file->size - offset) : length;
	return 0;
}
