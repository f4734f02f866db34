/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Persistent bitmaps (dirty tracking for backups): we do not maintain them, and so must not leave
 * them claiming to be valid. Only their names are read here; qcow2_start_writing() does the rest.
 */
#include "qcow2.h"

#include "bytes.h"
#include "overflow.h"

#include <inttypes.h>
#include <stdio.h>

/* An entry of the bitmap directory: the fixed part, and offsets in it. */
#define ENTRY_SIZE 24

enum {
	AT_NAME_LENGTH = 18,
	AT_EXTRA_LENGTH = 20,
};

/*
 * Read the name of the entry at *offset of the directory, cut to what fits, and go on to the next.
 */
static int read_name(struct qcow2 *q, uint64_t *offset, char *name, size_t capacity)
{
	uint64_t directory_size = q->header.bitmap_directory_size;
	uint64_t directory = q->header.bitmap_directory_offset;
	uint8_t entry[ENTRY_SIZE];
	uint64_t extra, length;
	int r;

	if (!range_fits(*offset, sizeof(entry), directory_size))
		return -1;
	r = hostfile_read(q->file, entry, sizeof(entry), directory + *offset);
	if (r < 0)
		return r;
	extra = get_be32(entry + AT_EXTRA_LENGTH);
	length = get_be16(entry + AT_NAME_LENGTH);
	if (!range_fits(*offset + sizeof(entry), extra + length, directory_size))
		return -1;
	r = hostfile_read(q->file, name, (size_t)min_u64(length, capacity - 1),
			  directory + *offset + sizeof(entry) + extra);
	if (r < 0)
		return r;
	name[min_u64(length, capacity - 1)] = '\0';
	*offset = align_up(*offset + sizeof(entry) + extra + length, 8);
	return 0;
}

void qcow2_name_bitmaps(struct qcow2 *q, char *text, size_t capacity)
{
	uint64_t offset = 0;
	size_t used = 0;

	for (uint32_t i = 0; i < q->header.bitmap_count; i++) {
		char name[64];
		int n;

		/*
		 * A directory that is damaged has lost its names; that it is there is known all the
		 * same.
		 */
		if (read_name(q, &offset, name, sizeof(name)) != 0) {
			snprintf(text + used, capacity - used, "%s(unreadable)", i ? ", " : "");
			return;
		}
		n = snprintf(text + used, capacity - used, "%s'%s'", i ? ", " : "", name);
		if (n < 0 || (size_t)n >= capacity - used) {
			snprintf(text + used, capacity - used, ", ...");
			return;
		}
		used += (size_t)n;
	}
}
