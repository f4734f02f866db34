/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file in memory; see memfile.h. */
#include "memfile.h"

#include "align.h"
#include "array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
	fprintf(stderr, "out of memory\n");
	exit(2);
}

void *must_calloc(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	if (!memory)
		out_of_memory();
	return memory;
}

void must_reserve(void *array, size_t length, size_t *capacity, size_t element_size)
{
	if (array_reserve_one(array, length, capacity, element_size) < 0)
		out_of_memory();
}

static void reserve(struct memfile *file, uint64_t size)
{
	size_t capacity = (size_t)align_up(size, SECTOR);
	uint8_t *grown;

	if (capacity <= file->capacity)
		return;
	capacity = (size_t)max_u64(capacity, align_up(file->capacity * 3 / 2, SECTOR));
	grown = realloc(file->bytes, capacity);
	if (!grown)
		out_of_memory();
	memset(grown + file->capacity, 0, capacity - file->capacity);
	file->bytes = grown;
	file->capacity = capacity;
}

void memfile_resize(struct memfile *file, uint64_t size)
{
	reserve(file, size);
	if (size < file->size)
		memset(file->bytes + size, 0, (size_t)(file->size - size));
	file->size = size;
}

void memfile_write(struct memfile *file, const void *bytes, uint64_t count, uint64_t offset)
{
	if (count == 0)
		return;
	if (offset + count > file->size)
		memfile_resize(file, offset + count);
	memcpy(file->bytes + offset, bytes, (size_t)count);
}

void memfile_read(const struct memfile *file, void *bytes, uint64_t count, uint64_t offset)
{
	uint64_t inside = offset < file->size ? min_u64(count, file->size - offset) : 0;

	if (inside > 0)
		memcpy(bytes, file->bytes + offset, (size_t)inside);
	memset((uint8_t *)bytes + inside, 0, (size_t)(count - inside));
}

void memfile_copy(struct memfile *file, const struct memfile *from)
{
	reserve(file, from->size);
	if (from->size > 0)
		memcpy(file->bytes, from->bytes, (size_t)from->size);
	if (file->size > from->size)
		memset(file->bytes + from->size, 0, (size_t)(file->size - from->size));
	file->size = from->size;
}

void memfile_finish(struct memfile *file)
{
	free(file->bytes);
	*file = (struct memfile){ 0 };
}

void memfiles_copy(struct memfile *files, const struct memfile *from)
{
	for (unsigned int i = 0; i < FILE_COUNT; i++)
		memfile_copy(&files[i], &from[i]);
}

void memfiles_finish(struct memfile *files)
{
	for (unsigned int i = 0; i < FILE_COUNT; i++)
		memfile_finish(&files[i]);
}
