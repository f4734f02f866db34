/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kinds of images that the tests work on: made in a directory, and opened through the library
 * as imgfuse would.
 */
#pragma once

#include "imgfmt.h"
#include "memfile.h"
#include "prng.h"

struct kind {
	const char *name;
	unsigned int cluster_bits; /* 0: raw */
	unsigned int refcount_order;
	unsigned int version;  /* 0: 3 */
	unsigned int clusters; /* of the disk; raw: 4 KiB each */
	bool extended, backing, data_file, data_raw;
	bool compressed_base; /* the backing file is a qcow2 of compressed clusters */
	bool leaked;          /* nearly as many clusters as the refcount table has room for */
	unsigned int snapshots;
	unsigned int normal, zero, zero_allocated, compressed; /* see build.h */
};

/* The kind with a number, or NULL behind the last one. */
const struct kind *kind_get(unsigned int index);

static inline bool kind_is_raw(const struct kind *kind)
{
	return kind->cluster_bits == 0;
}

/* What is allocated at once: a cluster, or for raw 4 KiB. */
static inline uint64_t kind_unit(const struct kind *kind)
{
	return UINT64_C(1) << (kind->cluster_bits ? kind->cluster_bits : 12);
}

static inline uint64_t kind_disk_size(const struct kind *kind)
{
	return kind->clusters * kind_unit(kind);
}

/* Can the size of its disk change? */
static inline bool kind_can_resize(const struct kind *kind)
{
	return kind->version != 2 || kind->snapshots == 0;
}

/* Make an image of a kind in memory: a set of FILE_COUNT empty files. */
void kind_build(const struct kind *kind, struct prng *prng, struct memfile *ret);

/* The name of the image file, or of a file that it refers to, in its directory. */
const char *kind_file_name(const struct kind *kind, unsigned int file);

/*
 * Open the image of a kind in a directory; of the options of @more what is not about files counts.
 * Returns as imgfmt_open().
 */
int kind_open(const struct kind *kind, const char *directory,
	      const struct imgfmt_open_options *more, struct imgfmt_image **ret,
	      struct imgfmt_error *reterr);
