/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file in memory. What lies between its end and the capacity of the buffer is zero.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What a disk writes all or nothing of. */
#define SECTOR 512u

struct memfile {
	uint8_t *bytes;
	uint64_t size;
	size_t capacity; /* a multiple of SECTOR */
};

/* The files of a test image. */
enum {
	FILE_IMAGE,
	FILE_DATA,    /* the external data file */
	FILE_BACKING, /* never written */
	FILE_COUNT,
};

/* All of these end the program where there is no memory. */
void memfile_resize(struct memfile *file, uint64_t size);
void memfile_write(struct memfile *file, const void *bytes, uint64_t count, uint64_t offset);
void memfile_copy(struct memfile *file, const struct memfile *from);
void memfile_finish(struct memfile *file);

/* Bytes beyond the end read as zeroes. */
void memfile_read(const struct memfile *file, void *bytes, uint64_t count, uint64_t offset);

/* For sets of FILE_COUNT files. */
void memfiles_copy(struct memfile *files, const struct memfile *from);
void memfiles_finish(struct memfile *files);

/* Zeroed memory, or the end of the program. */
void *must_calloc(size_t count, size_t size);

/* Room for one more, as array_reserve_one(). */
void must_reserve(void *array, size_t length, size_t *capacity, size_t element_size);
