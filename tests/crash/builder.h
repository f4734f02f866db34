/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image that is being made. Private to build.c and build_tables.c.
 */
#pragma once

#include "build.h"

#define FLAG_COPIED     (UINT64_C(1) << 63)
#define FLAG_COMPRESSED (UINT64_C(1) << 62)
#define OFFSET_MASK     UINT64_C(0x00fffffffffffe00)

/* Where compressed data goes: two clusters that lie one behind the other. */
struct pack {
	uint64_t at, end;
	unsigned int shares; /* clusters that may still go there */
};

struct builder {
	const struct build_options *options;
	struct prng *prng;
	struct memfile *files;
	struct memfile *image;
	uint64_t cluster_size;
	uint64_t next; /* host cluster */
	unsigned int entry_bytes;
	uint64_t l2_entries;
	uint64_t *l1;
	uint64_t l1_size;
	struct pack pack;
	uint64_t snapshots_offset;
	uint64_t bitmap_directory, bitmap_directory_size;
};

/* Numbers in the image file, big-endian. */
void builder_store64(struct builder *b, uint64_t offset, uint64_t value);
void builder_store32(struct builder *b, uint64_t offset, uint32_t value);
uint64_t builder_load64(const struct builder *b, uint64_t offset);

/* Returns the host offset of @count new clusters, which lie one behind the other. */
uint64_t builder_take(struct builder *b, uint64_t count);

/* The largest refcount that fits. */
uint64_t builder_refcount_max(const struct builder *b);

/* Make a bitmap, where one is asked for. */
void builder_make_bitmap(struct builder *b);

/* With everything else in place: make the refcounts, the header, and the flags that follow. */
void builder_complete(struct builder *b, uint64_t l1_offset);
