/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2 images made in memory, without the library: with everything a writer may meet, in small.
 */
#pragma once

#include "memfile.h"
#include "prng.h"

#include <stdbool.h>

struct build_options {
	unsigned int version;
	unsigned int cluster_bits;
	unsigned int refcount_order;
	bool extended;              /* 16-byte L2 entries */
	uint64_t size;              /* of the disk, in bytes */
	uint64_t backing_size;      /* of a raw backing file; 0: there is none */
	const char *backing_format; /* that the header states; NULL: raw */
	bool data_file;
	bool data_raw;      /* the data file is the disk by itself */
	bool bitmaps;       /* a persistent one, said to be valid */
	uint64_t autoclear; /* bits besides those that the above asks for */
	unsigned int snapshots;
	/* Of a hundred guest clusters so many are stored in each way; the rest is unallocated. */
	unsigned int normal, zero, zero_allocated, compressed;
	/* Host clusters below this one that nothing needs are leaked. */
	uint64_t leaked_below;
	uint64_t padding; /* bytes of garbage at the end of the file: on a block device there are */
};

/* The names in the header under which the other two files are asked for. */
#define BUILD_BACKING_NAME "backing.raw"
#define BUILD_DATA_NAME    "data.raw"

/* Make an image without errors; @ret is a set of FILE_COUNT empty files. */
void build_image(const struct build_options *options, struct prng *prng, struct memfile *ret);

/* Fill a range of whole sectors, each with bytes that no other sector has. */
void build_fill(uint8_t *bytes, uint64_t length, uint64_t stamp);
