/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image that an input describes, and opening it.
 *
 * Such an input is: a byte of DISK_ flags; a byte that says how many operations there are, and 6
 * bytes for each; 8 bytes for the size of the file; and then chunks, each of 6 bytes for the
 * offset, 2 for the length, and what lies there. All numbers are little-endian. So an image is as
 * long as what it says, and not as its clusters; "pack" makes such a file from an image.
 *
 * A name for a backing file leads to a raw disk, but one with an @ to the image itself.
 */
#pragma once

#include "fuzz.h"

#include "imgfmt.h"

#define DISK_READ_ONLY     1u
#define DISK_SMALL_CACHE   2u
#define DISK_KEEP_SPACE    4u
#define DISK_DESCRIBE_ONLY 8u
#define DISK_RAW           16u /* the format is stated, and not detected */
#define DISK_PASSPHRASE    32u /* there is one, though not the right one */

#define DISK_OPERATION_SIZE 6u

struct disk {
	unsigned int flags;
	struct input operations;
	bool corrupt; /* the library said so, since it was opened */
	struct imgfmt_image *image;
};

/* Put the image into the host's memory. */
void disk_load(struct disk *disk, const uint8_t *data, size_t size);

/*
 * Open it, with these flags. Returns what imgfmt_open() does, and checks that it keeps to what it
 * promises for a failure. @snapshot may be NULL.
 */
int disk_open(struct disk *disk, unsigned int flags, const char *snapshot);

int disk_close(struct disk *disk);

/* What the first disk_open() since disk_load() returned; for exhaust.c. */
extern int disk_first_result;
