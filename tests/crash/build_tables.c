/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of an image that are about the others: header, refcounts, bitmaps; see builder.h. */
#include "builder.h"

#include "check.h"

#include "align.h"
#include "bytes.h"

#include <assert.h>
#include <stdlib.h>

void builder_make_bitmap(struct builder *b)
{
	uint64_t table, at;

	if (!b->options->bitmaps)
		return;
	table = builder_take(b, 1);
	builder_store64(b, table, builder_take(b, 1));
	at = b->bitmap_directory = builder_take(b, 1);
	builder_store64(b, at, table);
	builder_store32(b, at + 8, 1);               /* entries of the table */
	builder_store32(b, at + 12, 2);              /* flags: auto */
	builder_store32(b, at + 16, 0x01100000 | 2); /* type, granularity, length of the name */
	memfile_write(b->image, "b0", 2, at + 24);
	b->bitmap_directory_size = 32;
}

static uint64_t add_extension(struct builder *b, uint64_t at, uint32_t type, const void *bytes,
			      uint32_t length)
{
	builder_store32(b, at, type);
	builder_store32(b, at + 4, length);
	memfile_write(b->image, bytes, length, at + 8);
	return at + 8 + align_up(length, 8);
}

static void write_extensions(struct builder *b, uint64_t at)
{
	const struct build_options *options = b->options;
	const char *format = options->backing_format ? options->backing_format : "raw";
	uint8_t bitmaps[24] = { 0 };

	if (options->backing_size > 0)
		at = add_extension(b, at, 0xe2792aca, format, (uint32_t)strlen(format));
	if (options->data_file)
		at = add_extension(b, at, 0x44415441, BUILD_DATA_NAME, strlen(BUILD_DATA_NAME));
	if (options->bitmaps) {
		put_be32(bitmaps, 1);
		put_be64(bitmaps + 8, b->bitmap_directory_size);
		put_be64(bitmaps + 16, b->bitmap_directory);
		at = add_extension(b, at, 0x23852875, bitmaps, sizeof(bitmaps));
	}
	at += 8;
	if (options->backing_size > 0) {
		builder_store64(b, 8, at);
		builder_store32(b, 16, strlen(BUILD_BACKING_NAME));
		memfile_write(b->image, BUILD_BACKING_NAME, strlen(BUILD_BACKING_NAME), at);
	}
}

static void write_header(struct builder *b, uint64_t l1_offset)
{
	const struct build_options *options = b->options;

	memfile_write(b->image, "QFI\xfb", 4, 0);
	builder_store32(b, 4, options->version);
	builder_store32(b, 20, options->cluster_bits);
	builder_store64(b, 24, options->size);
	builder_store32(b, 36, (uint32_t)b->l1_size);
	builder_store64(b, 40, l1_offset);
	builder_store32(b, 60, options->snapshots);
	builder_store64(b, 64, b->snapshots_offset);
	if (options->version < 3) {
		write_extensions(b, 72);
		return;
	}
	builder_store64(b, 72, (options->data_file ? 4u : 0u) | (options->extended ? 16u : 0u));
	builder_store64(b, 88,
			options->autoclear | (options->bitmaps ? 1u : 0u) |
				(options->data_raw ? 2u : 0u));
	builder_store32(b, 96, options->refcount_order);
	builder_store32(b, 100, 104);
	write_extensions(b, 104);
}

/* Make the refcount table, and blocks for all that was taken so far and for themselves. */
static uint64_t make_reftable(struct builder *b)
{
	uint64_t per_block = (b->cluster_size * 8) >> b->options->refcount_order;
	uint64_t blocks = 0, table_clusters, start;

	do {
		blocks++;
		table_clusters = (blocks * 8 + b->cluster_size - 1) / b->cluster_size;
	} while (b->next + 4 + blocks + table_clusters > blocks * per_block);
	start = builder_take(b, table_clusters + blocks);
	for (uint64_t i = 0; i < blocks; i++)
		builder_store64(b, start + i * 8, start + (table_clusters + i) * b->cluster_size);
	builder_store64(b, 48, start);
	builder_store32(b, 56, (uint32_t)table_clusters);
	return start;
}

static void store_refcount(struct builder *b, uint64_t reftable, uint64_t cluster, uint64_t value)
{
	unsigned int order = b->options->refcount_order;
	uint64_t per_block = (b->cluster_size * 8) >> order;
	uint64_t block = builder_load64(b, reftable + cluster / per_block * 8);
	uint64_t bit = (cluster % per_block) << order;
	uint8_t *bytes = b->image->bytes + block + bit / 8;

	if (order < 3) {
		*bytes = (uint8_t)(*bytes | value << (bit % 8));
		return;
	}
	for (unsigned int i = 0; i < 1u << (order - 3); i++)
		bytes[i] = (uint8_t)(value >> (8 * ((1u << (order - 3)) - 1 - i)));
}

static void write_refcounts(struct builder *b, uint64_t reftable)
{
	uint32_t *references;
	uint64_t clusters;

	check_count(b->image, &references, &clusters);
	for (uint64_t i = 0; i < clusters; i++) {
		uint64_t value = references[i];

		if (value == 0 && i < b->options->leaked_below)
			value = 1;
		assert(value <= builder_refcount_max(b));
		store_refcount(b, reftable, i, value);
	}
	free(references);
}

/* Say which clusters of the active tables have a refcount of one. */
static void mark_copied(struct builder *b, uint64_t at)
{
	uint64_t entry = builder_load64(b, at);
	uint64_t offset = entry & OFFSET_MASK;

	if (offset != 0 && !(entry & FLAG_COMPRESSED) &&
	    check_refcount(b->image, offset / b->cluster_size) == 1)
		builder_store64(b, at, entry | FLAG_COPIED);
}

static void mark_all_copied(struct builder *b, uint64_t l1_offset)
{
	for (uint64_t i = 0; i < b->l1_size; i++) {
		mark_copied(b, l1_offset + i * 8);
		if (b->l1[i] == 0 || b->options->data_file)
			continue;
		for (uint64_t j = 0; j < b->l2_entries; j++)
			mark_copied(b, b->l1[i] + j * b->entry_bytes);
	}
}

void builder_complete(struct builder *b, uint64_t l1_offset)
{
	uint64_t reftable;

	b->next = max_u64(b->next, b->options->leaked_below);
	reftable = make_reftable(b);
	write_header(b, l1_offset);
	write_refcounts(b, reftable);
	mark_all_copied(b, l1_offset);
}
