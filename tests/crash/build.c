/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images made in memory; see build.h.
 *
 * Clusters are taken one behind the other, with holes here and there. The refcounts are what the
 * checker counts at the end.
 */
#include "builder.h"

#include "align.h"
#include "bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

void build_fill(uint8_t *bytes, uint64_t length, uint64_t stamp)
{
	for (uint64_t sector = 0; sector < length / SECTOR; sector++) {
		uint64_t word = prng_mix(stamp ^ prng_mix(sector));

		for (uint64_t i = 0; i < SECTOR; i += 8)
			memcpy(bytes + sector * SECTOR + i, &word, 8);
	}
}

void builder_store64(struct builder *b, uint64_t offset, uint64_t value)
{
	uint8_t bytes[8];

	put_be64(bytes, value);
	memfile_write(b->image, bytes, sizeof(bytes), offset);
}

void builder_store32(struct builder *b, uint64_t offset, uint32_t value)
{
	uint8_t bytes[4];

	put_be32(bytes, value);
	memfile_write(b->image, bytes, sizeof(bytes), offset);
}

uint64_t builder_load64(const struct builder *b, uint64_t offset)
{
	return get_be64(b->image->bytes + offset);
}

/* Returns the host offset of @count clusters. */
uint64_t builder_take(struct builder *b, uint64_t count)
{
	uint64_t first;

	if (prng_chance(b->prng, 10))
		b->next += 1 + prng_below(b->prng, 3);
	first = b->next;
	b->next += count;
	memfile_resize(b->image, b->next * b->cluster_size);
	return first * b->cluster_size;
}

/* ---- guest clusters ---- */

uint64_t builder_refcount_max(const struct builder *b)
{
	return b->options->refcount_order > 4 ? UINT32_MAX :
						(1u << (1u << b->options->refcount_order)) - 1;
}

/* Is it still possible that so many more share a cluster, in each snapshot? */
static unsigned int shares_possible(const struct builder *b)
{
	return (unsigned int)min_u64(builder_refcount_max(b) / (b->options->snapshots + 1), 100);
}

static uint64_t fill_cluster(struct builder *b, struct memfile *file, uint64_t host_offset)
{
	uint8_t *bytes = must_calloc(1, (size_t)b->cluster_size);

	build_fill(bytes, b->cluster_size, prng_next(b->prng));
	memfile_write(file, bytes, b->cluster_size, host_offset);
	free(bytes);
	return host_offset;
}

/* A new host cluster for a guest cluster, with data in it. */
static uint64_t normal_cluster(struct builder *b, uint64_t guest_cluster)
{
	if (b->options->data_file)
		return fill_cluster(b, &b->files[FILE_DATA], guest_cluster * b->cluster_size);
	return fill_cluster(b, b->image, builder_take(b, 1));
}

/* Returns the bytes that a cluster of some content takes. */
static size_t deflate_cluster(struct builder *b, uint8_t *ret, size_t capacity)
{
	uint8_t *plain = must_calloc(1, (size_t)b->cluster_size);
	z_stream stream = { .next_out = ret, .avail_out = (uInt)capacity };
	int r;

	build_fill(plain, b->cluster_size, prng_next(b->prng));
	stream.next_in = plain;
	stream.avail_in = (uInt)b->cluster_size;
	r = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);
	assert(r == Z_OK);
	r = deflate(&stream, Z_FINISH);
	assert(r == Z_STREAM_END);
	(void)r;
	deflateEnd(&stream);
	free(plain);
	return stream.total_out;
}

static uint64_t compressed_entry(struct builder *b)
{
	unsigned int bits = 62 - (b->options->cluster_bits - 8);
	uint8_t *bytes = must_calloc(1, (size_t)b->cluster_size);
	size_t length = deflate_cluster(b, bytes, (size_t)b->cluster_size);
	uint64_t at, sectors;

	if (b->pack.shares == 0 || b->pack.end - b->pack.at < length) {
		b->pack.at = builder_take(b, 2);
		b->pack.end = b->pack.at + 2 * b->cluster_size;
		b->pack.shares = shares_possible(b);
	}
	at = b->pack.at;
	memfile_write(b->image, bytes, length, at);
	free(bytes);
	b->pack.at += length;
	b->pack.shares--;
	sectors = ((at & 511) + length - 1) / 512;
	return FLAG_COMPRESSED | sectors << bits | at;
}

/* The bits of subclusters at random; none is both allocated and zero. */
static uint64_t random_bitmap(struct builder *b, bool may_allocate)
{
	uint64_t allocated = may_allocate ? prng_next(b->prng) & UINT32_MAX : 0;
	uint64_t zero = prng_next(b->prng) & prng_next(b->prng) & UINT32_MAX & ~allocated;

	return allocated | zero << 32;
}

static void make_extended_entry(struct builder *b, uint64_t guest_cluster, uint64_t at)
{
	const struct build_options *options = b->options;
	uint64_t roll = prng_below(b->prng, 100);
	uint64_t descriptor = 0, bitmap = 0;

	if (roll < options->normal || options->data_raw) {
		descriptor =
			normal_cluster(b, guest_cluster) | (options->data_file ? FLAG_COPIED : 0);
		bitmap = prng_chance(b->prng, 30) || options->data_raw ? UINT32_MAX :
									 random_bitmap(b, true);
	} else if (roll < options->normal + options->zero) {
		bitmap = prng_chance(b->prng, 50) ? (uint64_t)UINT32_MAX << 32 :
						    random_bitmap(b, false);
	} else if (roll < options->normal + options->zero + options->compressed &&
		   shares_possible(b) > 0) {
		descriptor = compressed_entry(b);
	}
	builder_store64(b, at, descriptor);
	builder_store64(b, at + 8, bitmap);
}

static void make_entry(struct builder *b, uint64_t guest_cluster, uint64_t at)
{
	const struct build_options *options = b->options;
	uint64_t roll = prng_below(b->prng, 100);
	uint64_t below = options->normal;
	uint64_t copied = options->data_file ? FLAG_COPIED : 0;
	uint64_t entry = 0;

	if (options->extended) {
		make_extended_entry(b, guest_cluster, at);
		return;
	}
	if (roll < below || options->data_raw)
		entry = normal_cluster(b, guest_cluster) | copied;
	else if (roll < (below += options->zero))
		entry = options->version < 3 ? 0 : 1;
	else if (roll < (below += options->zero_allocated))
		entry = options->version < 3 ? 0 : normal_cluster(b, guest_cluster) | copied | 1;
	else if (roll < below + options->compressed && shares_possible(b) > 0)
		entry = compressed_entry(b);
	builder_store64(b, at, entry);
}

/* ---- the map ---- */

static uint64_t l2_span(const struct builder *b)
{
	return b->l2_entries * b->cluster_size;
}

/* Make the entries of the table at @l2_offset anew, each with a chance of @percent. */
static void make_entries(struct builder *b, uint64_t l1_index, uint64_t l2_offset,
			 unsigned int percent)
{
	uint64_t guest_clusters = (b->options->size + b->cluster_size - 1) / b->cluster_size;

	for (uint64_t i = 0; i < b->l2_entries; i++) {
		uint64_t guest_cluster = l1_index * b->l2_entries + i;

		if (guest_cluster < guest_clusters && prng_chance(b->prng, percent))
			make_entry(b, guest_cluster, l2_offset + i * b->entry_bytes);
	}
}

static void make_map(struct builder *b)
{
	const struct build_options *options = b->options;
	bool empty =
		options->normal + options->zero + options->zero_allocated + options->compressed ==
		0;

	b->l1_size = (options->size + l2_span(b) - 1) / l2_span(b);
	b->l1 = must_calloc((size_t)b->l1_size, sizeof(*b->l1));
	for (uint64_t i = 0; i < b->l1_size; i++) {
		if (!options->data_raw && (empty || prng_chance(b->prng, 20)))
			continue;
		b->l1[i] = builder_take(b, 1);
		make_entries(b, i, b->l1[i], 100);
	}
}

static uint64_t write_l1(struct builder *b)
{
	uint64_t clusters = (b->l1_size * 8 + b->cluster_size - 1) / b->cluster_size;
	uint64_t offset = builder_take(b, max_u64(clusters, 1));

	for (uint64_t i = 0; i < b->l1_size; i++)
		builder_store64(b, offset + i * 8, b->l1[i]);
	return offset;
}

/* What the disk does after a snapshot: some tables and clusters are shared, others new. */
static void diverge(struct builder *b)
{
	for (uint64_t i = 0; i < b->l1_size; i++) {
		uint64_t old = b->l1[i];
		uint8_t *bytes;

		if (prng_chance(b->prng, 50))
			continue;
		b->l1[i] = builder_take(b, 1);
		if (old != 0) {
			bytes = must_calloc(1, (size_t)b->cluster_size);
			memfile_read(b->image, bytes, b->cluster_size, old);
			memfile_write(b->image, bytes, b->cluster_size, b->l1[i]);
			free(bytes);
		}
		make_entries(b, i, b->l1[i], 30);
	}
}

/* Take the snapshots, each followed by some changes, and write their table. */
static void make_snapshots(struct builder *b)
{
	uint64_t l1_offsets[4], at;

	if (b->options->snapshots == 0)
		return;
	assert(b->options->snapshots <= 4);
	for (unsigned int i = 0; i < b->options->snapshots; i++) {
		l1_offsets[i] = write_l1(b);
		diverge(b);
	}
	at = b->snapshots_offset = builder_take(b, 1);
	for (unsigned int i = 0; i < b->options->snapshots; i++) {
		const char id[] = { (char)('1' + i), 's' };

		builder_store64(b, at, l1_offsets[i]);
		builder_store32(b, at + 8, (uint32_t)b->l1_size);
		builder_store32(b, at + 12, UINT32_C(1) << 16 | 1); /* lengths of id and name */
		builder_store32(b, at + 36, 16);                    /* length of the extra data */
		builder_store64(b, at + 48, b->options->size);
		memfile_write(b->image, id, sizeof(id), at + 56);
		at += 64;
	}
}

static void append_garbage(struct memfile *file, uint64_t length, struct prng *prng)
{
	uint64_t start = file->size;

	memfile_resize(file, start + length);
	build_fill(file->bytes + start, length, prng_next(prng));
}

void build_image(const struct build_options *options, struct prng *prng, struct memfile *ret)
{
	struct builder b = {
		.options = options,
		.prng = prng,
		.files = ret,
		.image = &ret[FILE_IMAGE],
		.cluster_size = UINT64_C(1) << options->cluster_bits,
		.next = 1,
		.entry_bytes = options->extended ? 16 : 8,
	};

	b.l2_entries = b.cluster_size / b.entry_bytes;
	memfile_resize(b.image, b.cluster_size);
	if (options->backing_size > 0) {
		memfile_resize(&ret[FILE_BACKING], options->backing_size);
		build_fill(ret[FILE_BACKING].bytes, options->backing_size, prng_next(prng));
	}
	if (options->data_file)
		append_garbage(&ret[FILE_DATA], options->size, prng);
	make_map(&b);
	if (options->data_raw)
		memfile_resize(&ret[FILE_DATA], options->size);
	make_snapshots(&b);
	builder_make_bitmap(&b);
	builder_complete(&b, write_l1(&b));
	append_garbage(b.image, options->padding, prng);
	free(b.l1);
}
