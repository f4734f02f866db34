/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checker; see check.h.
 *
 * It walks everything that the header leads to and counts references to host clusters, then
 * compares them with the refcounts. A cluster that serves two purposes, or a table that is there
 * twice, is an error even where its refcount is high enough.
 */
#include "check.h"

#include "align.h"
#include "bytes.h"
#include "overflow.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define OFFSET_MASK     UINT64_C(0x00fffffffffffe00)
#define FLAG_COPIED     (UINT64_C(1) << 63)
#define FLAG_COMPRESSED (UINT64_C(1) << 62)
#define FLAG_ZERO       UINT64_C(1)

/* What a cluster is used for. */
enum use {
	USE_HEADER = 1 << 0,
	USE_L1 = 1 << 1,
	USE_L2 = 1 << 2,
	USE_REFTABLE = 1 << 3,
	USE_BLOCK = 1 << 4,
	USE_SNAPSHOTS = 1 << 5,
	USE_DATA = 1 << 6,
	USE_COMPRESSED = 1 << 7,
	USE_BITMAPS = 1 << 8,
	/* Snapshots may share these, and compressed clusters a host cluster. */
	USE_SHARED = USE_L2 | USE_DATA | USE_COMPRESSED,
};

struct walk {
	const uint8_t *bytes;
	uint64_t size;
	uint32_t version;
	unsigned int cluster_bits;
	uint64_t cluster_size;
	unsigned int refcount_order;
	bool extended, data_file;
	uint64_t reftable_offset, reftable_entries;
	uint64_t clusters; /* of the file, the last one perhaps in part */
	uint32_t *references;
	uint16_t *uses;
	struct check_result *result;
};

__attribute__((format(printf, 2, 3))) static void complain(struct walk *walk, const char *format,
							   ...)
{
	va_list arguments;

	if (walk->result->errors++ > 0)
		return;
	va_start(arguments, format);
	vsnprintf(walk->result->text, sizeof(walk->result->text), format, arguments);
	va_end(arguments);
}

/* ---- bytes of the file; what lies beyond its end is zero ---- */

static uint64_t load_be64(const struct walk *walk, uint64_t offset)
{
	return range_fits(offset, 8, walk->size) ? get_be64(walk->bytes + offset) : 0;
}

static uint32_t load_be32(const struct walk *walk, uint64_t offset)
{
	return range_fits(offset, 4, walk->size) ? get_be32(walk->bytes + offset) : 0;
}

static uint16_t load_be16(const struct walk *walk, uint64_t offset)
{
	return range_fits(offset, 2, walk->size) ? get_be16(walk->bytes + offset) : 0;
}

/* ---- references ---- */

static void count(struct walk *walk, uint64_t offset, uint64_t length, enum use use,
		  const char *what)
{
	uint64_t last;

	if (length == 0)
		return;
	/* A part of the last cluster may be missing, but a small table not whole. */
	if (offset > UINT64_C(1) << 56 || length > UINT64_C(1) << 40 ||
	    offset >> walk->cluster_bits >= walk->clusters ||
	    (offset + length > walk->size && offset + length - walk->size >= walk->cluster_size)) {
		complain(walk, "%s at 0x%" PRIx64 " lies beyond the end of the file, 0x%" PRIx64,
			 what, offset, walk->size);
		return;
	}
	last = (offset + length - 1) >> walk->cluster_bits;
	for (uint64_t i = offset >> walk->cluster_bits; i <= last && i < walk->clusters; i++) {
		walk->references[i]++;
		walk->uses[i] |= (uint16_t)use;
		if (walk->uses[i] != use || (!(use & USE_SHARED) && walk->references[i] > 1))
			complain(walk, "%s at 0x%" PRIx64 " overlaps something else (%x)", what,
				 i << walk->cluster_bits, walk->uses[i]);
	}
}

static bool is_cluster_aligned(const struct walk *walk, uint64_t offset)
{
	return (offset & (walk->cluster_size - 1)) == 0;
}

static uint64_t load_refcount(const struct walk *walk, uint64_t host_cluster)
{
	unsigned int order = walk->refcount_order;
	unsigned int block_bits = walk->cluster_bits + 3 - order;
	uint64_t index = host_cluster >> block_bits;
	uint64_t bit = (host_cluster & ((UINT64_C(1) << block_bits) - 1)) << order;
	uint64_t block, at;

	if (index >= walk->reftable_entries)
		return 0;
	block = load_be64(walk, walk->reftable_offset + index * 8) & ~UINT64_C(0x1ff);
	at = block + (bit >> 3);
	if (block == 0 || at + 8 > walk->size + walk->cluster_size)
		return 0;
	switch (order) {
	case 6:
		return load_be64(walk, at);
	case 5:
		return load_be32(walk, at);
	case 4:
		return load_be16(walk, at);
	default:
		return at < walk->size ?
			       (walk->bytes[at] >> (bit & 7)) & ((1u << (1u << order)) - 1) :
			       0;
	}
}

/* ---- the map ---- */

static void walk_compressed(struct walk *walk, uint64_t descriptor)
{
	unsigned int bits = 62 - (walk->cluster_bits - 8);
	uint64_t offset = descriptor & ((UINT64_C(1) << bits) - 1);
	uint64_t sectors = ((descriptor & (FLAG_COMPRESSED - 1)) >> bits) + 1;

	if (descriptor & FLAG_COPIED)
		complain(walk, "compressed entry 0x%" PRIx64 " is COPIED", descriptor);
	if (walk->data_file)
		complain(walk, "compressed entry 0x%" PRIx64 " with a data file", descriptor);
	count(walk, offset, sectors * 512 - (offset & 511), USE_COMPRESSED, "compressed data");
}

/* COPIED means a refcount of one, and the other way round. */
static void check_copied(struct walk *walk, uint64_t entry, const char *what)
{
	uint64_t offset = entry & OFFSET_MASK;
	uint64_t refcount = load_refcount(walk, offset >> walk->cluster_bits);

	if ((refcount == 1) != ((entry & FLAG_COPIED) != 0))
		complain(walk, "%s 0x%" PRIx64 " has refcount %" PRIu64, what, entry, refcount);
}

static void walk_extended(struct walk *walk, uint64_t descriptor, uint64_t bitmap)
{
	uint32_t allocated = (uint32_t)bitmap, zero = (uint32_t)(bitmap >> 32);
	bool has_host =
		(descriptor & OFFSET_MASK) != 0 || (walk->data_file && (descriptor & FLAG_COPIED));

	if ((descriptor & FLAG_COMPRESSED) ? bitmap != 0 : (allocated & zero) != 0)
		complain(walk, "subclusters of entry 0x%" PRIx64 ": 0x%" PRIx64, descriptor,
			 bitmap);
	if (!(descriptor & FLAG_COMPRESSED) && allocated != 0 && !has_host)
		complain(walk, "subclusters without a cluster: 0x%" PRIx64, bitmap);
}

static void walk_l2_entry(struct walk *walk, uint64_t at, uint64_t guest_offset, bool active)
{
	uint64_t descriptor = load_be64(walk, at);
	uint64_t bitmap = walk->extended ? load_be64(walk, at + 8) : 0;
	uint64_t reserved =
		walk->extended ? UINT64_C(0x3f000000000001ff) : UINT64_C(0x3f000000000001fe);
	uint64_t offset = descriptor & OFFSET_MASK;

	if (walk->extended)
		walk_extended(walk, descriptor, bitmap);
	if (descriptor & FLAG_COMPRESSED) {
		walk_compressed(walk, descriptor);
		return;
	}
	if (descriptor & reserved)
		complain(walk, "L2 entry 0x%" PRIx64 " has reserved bits", descriptor);
	if (!walk->extended && (descriptor & FLAG_ZERO) && walk->version < 3)
		complain(walk, "L2 entry 0x%" PRIx64 " is zero in version 2", descriptor);
	if (offset == 0 && !(walk->data_file && (descriptor & FLAG_COPIED)))
		return;
	if (!is_cluster_aligned(walk, offset))
		complain(walk, "L2 entry 0x%" PRIx64 " is not aligned", descriptor);
	if (walk->data_file) {
		if (offset != guest_offset || !(descriptor & FLAG_COPIED))
			complain(walk,
				 "L2 entry 0x%" PRIx64 " of guest offset 0x%" PRIx64
				 " with a data file",
				 descriptor, guest_offset);
		return;
	}
	count(walk, offset, walk->cluster_size, USE_DATA, "a data cluster");
	if (active)
		check_copied(walk, descriptor, "L2 entry");
}

static void walk_l1(struct walk *walk, uint64_t l1_offset, uint64_t l1_size, bool active)
{
	unsigned int entry_bytes = walk->extended ? 16 : 8;
	uint64_t entries = walk->cluster_size / entry_bytes;

	if (!is_cluster_aligned(walk, l1_offset))
		complain(walk, "L1 table at 0x%" PRIx64 " is not aligned", l1_offset);
	count(walk, l1_offset, l1_size * 8, USE_L1, "an L1 table");
	/* What lies beyond the end of the file has no entries. */
	for (uint64_t i = 0; i < l1_size && l1_offset + i * 8 < walk->size; i++) {
		uint64_t entry = load_be64(walk, l1_offset + i * 8);
		uint64_t l2_offset = entry & OFFSET_MASK;

		if (entry & UINT64_C(0x7f000000000001ff))
			complain(walk, "L1 entry 0x%" PRIx64 " has reserved bits", entry);
		if (l2_offset == 0)
			continue;
		if (!is_cluster_aligned(walk, l2_offset))
			complain(walk, "L1 entry 0x%" PRIx64 " is not aligned", entry);
		count(walk, l2_offset, walk->cluster_size, USE_L2, "an L2 table");
		if (active)
			check_copied(walk, entry, "L1 entry");
		for (uint64_t j = 0; j < entries; j++)
			walk_l2_entry(walk, l2_offset + j * entry_bytes,
				      (i * entries + j) << walk->cluster_bits, active);
	}
}

/* An entry of the snapshot table. Returns where the next one begins. */
static uint64_t walk_snapshot(struct walk *walk, uint64_t at)
{
	uint64_t end = at + 40 + load_be32(walk, at + 36) + load_be16(walk, at + 12) +
		       load_be16(walk, at + 14);

	if (at >= walk->size)
		complain(walk, "the snapshot table is cut off at 0x%" PRIx64, at);
	else
		walk_l1(walk, load_be64(walk, at), load_be32(walk, at + 8), false);
	return align_up(end, 8);
}

static void walk_snapshots(struct walk *walk)
{
	uint32_t snapshots = load_be32(walk, 60);
	uint64_t start = load_be64(walk, 64), at = start;

	for (uint32_t i = 0; i < snapshots && at - start < walk->size; i++)
		at = walk_snapshot(walk, at);
	count(walk, start, at - start, USE_SNAPSHOTS, "the snapshot table");
}

/* ---- bitmaps ---- */

static void walk_bitmap_directory(struct walk *walk, uint32_t bitmaps, uint64_t directory,
				  uint64_t size)
{
	uint64_t at = directory;

	count(walk, directory, size, USE_BITMAPS, "the bitmap directory");
	for (uint32_t i = 0; i < bitmaps && at < walk->size; i++) {
		uint64_t table = load_be64(walk, at);
		uint32_t entries = load_be32(walk, at + 8);

		count(walk, table, (uint64_t)entries * 8, USE_BITMAPS, "a bitmap table");
		for (uint32_t j = 0; j < entries && table + j * UINT64_C(8) < walk->size; j++) {
			uint64_t offset = load_be64(walk, table + j * UINT64_C(8)) & OFFSET_MASK;

			if (offset != 0)
				count(walk, offset, walk->cluster_size, USE_BITMAPS, "a bitmap");
		}
		at = align_up(at + 24 + load_be16(walk, at + 18) + load_be32(walk, at + 20), 8);
	}
}

/* Bitmaps count only while they are valid. */
static void walk_bitmaps(struct walk *walk)
{
	uint64_t at = load_be32(walk, 100);

	if (walk->version < 3 || !(load_be64(walk, 88) & 1))
		return;
	while (at < walk->cluster_size) {
		uint32_t type = load_be32(walk, at);

		if (type == 0)
			return;
		if (type == 0x23852875)
			walk_bitmap_directory(walk, load_be32(walk, at + 8),
					      load_be64(walk, at + 24), load_be64(walk, at + 16));
		at += 8 + align_up(load_be32(walk, at + 4), 8);
	}
}

/* ---- refcounts ---- */

static void walk_reftable(struct walk *walk)
{
	if (!is_cluster_aligned(walk, walk->reftable_offset))
		complain(walk, "the refcount table at 0x%" PRIx64 " is not aligned",
			 walk->reftable_offset);
	count(walk, walk->reftable_offset, walk->reftable_entries * 8, USE_REFTABLE,
	      "the refcount table");
	for (uint64_t i = 0; i < walk->reftable_entries; i++) {
		uint64_t entry = load_be64(walk, walk->reftable_offset + i * 8);

		if (entry & 0x1ff)
			complain(walk, "refcount table entry 0x%" PRIx64 " has reserved bits",
				 entry);
		if (entry == 0)
			continue;
		if (!is_cluster_aligned(walk, entry))
			complain(walk, "refcount table entry 0x%" PRIx64 " is not aligned", entry);
		if (entry >= walk->clusters << walk->cluster_bits)
			complain(walk, "refcount block at 0x%" PRIx64 " is outside the file",
				 entry);
		else
			count(walk, entry, walk->cluster_size, USE_BLOCK, "a refcount block");
	}
}

static void compare_refcounts(struct walk *walk)
{
	for (uint64_t i = 0; i < walk->clusters; i++) {
		uint64_t refcount = load_refcount(walk, i);

		if (refcount > walk->references[i])
			walk->result->leaks++;
		if (refcount < walk->references[i])
			complain(walk,
				 "cluster 0x%" PRIx64 " has refcount %" PRIu64 ", and %" PRIu32
				 " reference(s) (%x)",
				 i << walk->cluster_bits, refcount, walk->references[i],
				 walk->uses[i]);
	}
}

/* ---- the header ---- */

/* Read what the walk needs. Returns false where the header makes no sense. */
static bool start_walk(struct walk *walk, const struct memfile *file, struct check_result *result)
{
	uint64_t incompatible;

	*result = (struct check_result){ 0 };
	*walk = (struct walk){ .bytes = file->bytes, .size = file->size, .result = result };
	walk->version = load_be32(walk, 4);
	walk->cluster_bits = load_be32(walk, 20);
	if (load_be32(walk, 0) != 0x514649fb || walk->version < 2 || walk->version > 3 ||
	    walk->cluster_bits < 9 || walk->cluster_bits > 21) {
		complain(walk, "the header is damaged");
		return false;
	}
	walk->cluster_size = UINT64_C(1) << walk->cluster_bits;
	incompatible = walk->version < 3 ? 0 : load_be64(walk, 72);
	if (incompatible & 3)
		complain(walk, "incompatible features 0x%" PRIx64, incompatible);
	walk->data_file = (incompatible & 4) != 0;
	walk->extended = (incompatible & 16) != 0;
	walk->refcount_order = walk->version < 3 ? 4 : load_be32(walk, 96);
	walk->reftable_offset = load_be64(walk, 48);
	walk->reftable_entries = ((uint64_t)load_be32(walk, 56) << walk->cluster_bits) / 8;
	if (walk->refcount_order > 6 || walk->reftable_entries > UINT64_C(1) << 20) {
		complain(walk, "the header is damaged");
		return false;
	}
	walk->clusters = units_of(walk->size, walk->cluster_bits);
	walk->references = must_calloc((size_t)walk->clusters, sizeof(*walk->references));
	walk->uses = must_calloc((size_t)walk->clusters, sizeof(*walk->uses));
	return true;
}

static void finish_walk(struct walk *walk)
{
	free(walk->references);
	free(walk->uses);
}

static void count_references(struct walk *walk, bool active)
{
	uint32_t l1_size = load_be32(walk, 36);

	count(walk, 0, walk->cluster_size, USE_HEADER, "the header");
	if (l1_size > UINT32_C(1) << 22)
		complain(walk, "the L1 table has %" PRIu32 " entries", l1_size);
	else
		walk_l1(walk, load_be64(walk, 40), l1_size, active);
	walk_snapshots(walk);
	walk_bitmaps(walk);
	walk_reftable(walk);
}

void check_image(const struct memfile *file, struct check_result *ret)
{
	struct walk walk;

	if (start_walk(&walk, file, ret)) {
		count_references(&walk, true);
		compare_refcounts(&walk);
	}
	finish_walk(&walk);
}

void check_count(const struct memfile *file, uint32_t **ret, uint64_t *ret_count)
{
	struct check_result result;
	struct walk walk;

	if (start_walk(&walk, file, &result))
		count_references(&walk, false);
	free(walk.uses);
	*ret = walk.references;
	*ret_count = walk.clusters;
}

uint64_t check_refcount(const struct memfile *file, uint64_t host_cluster)
{
	struct check_result result;
	struct walk walk;
	uint64_t refcount = 0;

	if (start_walk(&walk, file, &result))
		refcount = load_refcount(&walk, host_cluster);
	finish_walk(&walk);
	return refcount;
}

uint64_t check_autoclear(const struct memfile *file)
{
	const struct walk walk = { .bytes = file->bytes, .size = file->size };

	return load_be32(&walk, 4) < 3 ? 0 : load_be64(&walk, 88);
}
