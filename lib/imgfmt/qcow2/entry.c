/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What table entries say; see entry.h. Reserved bits are ignored, as QEMU's driver does: it is
 * qemu-img check that complains about them.
 */
#include "entry.h"

#include "bytes.h"

#include <assert.h>
#include <errno.h>

int l1_entry_parse(const struct qcow2_geometry *geometry, uint64_t entry, struct l1_entry *ret)
{
	uint64_t l2_offset = entry & QCOW2_OFFSET_MASK;

	if (into_cluster(geometry, l2_offset) != 0)
		return -EUCLEAN;
	ret->l2_offset = l2_offset;
	ret->copied = (entry & QCOW2_FLAG_COPIED) != 0;
	return 0;
}

struct l2_raw l2_load(const struct qcow2_geometry *geometry, const uint8_t *slice, size_t index)
{
	const uint8_t *bytes = slice + (index << geometry->entry_bits);

	return (struct l2_raw){
		.descriptor = get_be64(bytes),
		.bitmap = geometry->subclusters > 1 ? get_be64(bytes + 8) : 0,
	};
}

void l2_store(const struct qcow2_geometry *geometry, uint8_t *slice, size_t index,
	      struct l2_raw raw)
{
	uint8_t *bytes = slice + (index << geometry->entry_bits);

	put_be64(bytes, raw.descriptor);
	if (geometry->subclusters > 1)
		put_be64(bytes + 8, raw.bitmap);
}

static int parse_compressed(const struct qcow2_geometry *geometry, struct l2_raw raw,
			    struct l2_entry *ret)
{
	unsigned int offset_bits = 62 - (geometry->cluster_bits - 8);
	uint64_t flags = QCOW2_FLAG_COPIED | QCOW2_FLAG_COMPRESSED;
	uint64_t host_offset = raw.descriptor & ((UINT64_C(1) << offset_bits) - 1);
	uint64_t sectors = ((raw.descriptor & ~flags) >> offset_bits) + 1;

	if (host_offset > QCOW2_MAX_HOST_OFFSET || raw.bitmap != 0 || geometry->external_data)
		return -EUCLEAN;
	*ret = (struct l2_entry){
		.kind = SUBCLUSTER_COMPRESSED,
		.host_offset = host_offset,
		.compressed_length = (size_t)(sectors * 512 - (host_offset & 511)),
	};
	return 0;
}

/* The kind of an extended entry's subcluster, by its two bits. */
static int parse_bits(uint64_t bitmap, unsigned int subcluster, struct l2_entry *ret)
{
	bool allocated = (bitmap >> subcluster) & 1;
	bool zero = (bitmap >> (subcluster + 32)) & 1;

	if (allocated && (zero || !ret->has_host))
		return -EUCLEAN;
	ret->kind = allocated ? SUBCLUSTER_NORMAL : zero ? SUBCLUSTER_ZERO : SUBCLUSTER_UNALLOCATED;
	return 0;
}

static int parse_flag(const struct qcow2_geometry *geometry, bool zero, struct l2_entry *ret)
{
	if (zero && !geometry->zero_flags)
		return -EUCLEAN;
	ret->kind = zero          ? SUBCLUSTER_ZERO :
		    ret->has_host ? SUBCLUSTER_NORMAL :
				    SUBCLUSTER_UNALLOCATED;
	return 0;
}

int l2_parse(const struct qcow2_geometry *geometry, struct l2_raw raw, uint64_t guest_offset,
	     unsigned int subcluster, struct l2_entry *ret)
{
	struct l2_entry entry = { .host_offset = raw.descriptor & QCOW2_OFFSET_MASK };
	bool copied = (raw.descriptor & QCOW2_FLAG_COPIED) != 0;
	int r;

	if (raw.descriptor & QCOW2_FLAG_COMPRESSED)
		return parse_compressed(geometry, raw, ret);
	if (into_cluster(geometry, entry.host_offset) != 0)
		return -EUCLEAN;
	/* Only in a data file a cluster can lie at offset 0: then this flag tells. */
	entry.has_host = entry.host_offset != 0 || (geometry->external_data && copied);
	entry.copied = entry.has_host && copied;
	if (geometry->external_data && entry.has_host &&
	    entry.host_offset != align_down(guest_offset, geometry->cluster_size))
		return -EUCLEAN;
	r = geometry->subclusters > 1 ?
		    parse_bits(raw.bitmap, subcluster, &entry) :
		    parse_flag(geometry, (raw.descriptor & QCOW2_FLAG_ZERO) != 0, &entry);
	if (r == 0)
		*ret = entry;
	return r;
}

/* A bit for each of @count subclusters from @first on. */
static uint64_t bits_of(unsigned int first, unsigned int count)
{
	return ((UINT64_C(1) << count) - 1) << first;
}

struct l2_raw l2_with_data(const struct qcow2_geometry *geometry, struct l2_raw old,
			   uint64_t host_offset, unsigned int first, unsigned int count)
{
	struct l2_raw raw = { .descriptor = host_offset | QCOW2_FLAG_COPIED };

	if (geometry->subclusters > 1) {
		uint64_t bits = bits_of(first, count);

		raw.bitmap = (old.bitmap | bits) & ~(bits << 32);
	}
	return raw;
}

struct l2_raw l2_with_zeroes(const struct qcow2_geometry *geometry, struct l2_raw old,
			     unsigned int first, unsigned int count)
{
	if (geometry->subclusters > 1) {
		uint64_t bits = bits_of(first, count);

		old.bitmap = (old.bitmap | bits << 32) & ~bits;
	} else {
		old.descriptor |= QCOW2_FLAG_ZERO;
	}
	return old;
}

struct l2_raw l2_zero_plain(const struct qcow2_geometry *geometry)
{
	if (geometry->subclusters > 1)
		return (struct l2_raw){ .bitmap = L2_BITMAP_ALL_ZERO };
	return (struct l2_raw){ .descriptor = QCOW2_FLAG_ZERO };
}

int reftable_entry_parse(const struct qcow2_geometry *geometry, uint64_t entry, uint64_t *ret)
{
	uint64_t block_offset = entry & QCOW2_REFTABLE_MASK;

	if (into_cluster(geometry, block_offset) != 0 || block_offset > QCOW2_MAX_HOST_OFFSET)
		return -EUCLEAN;
	*ret = block_offset;
	return 0;
}

/* Refcounts smaller than a byte: the first one is in the lowest bits. */
static unsigned int shift_in_byte(size_t index, unsigned int order)
{
	return (unsigned int)((index << order) & 7);
}

uint64_t refcount_load(const uint8_t *block, size_t index, unsigned int order)
{
	switch (order) {
	case 0:
	case 1:
	case 2:
		return ((unsigned int)block[(index << order) >> 3] >> shift_in_byte(index, order)) &
		       ((1u << (1u << order)) - 1);
	case 3:
		return block[index];
	case 4:
		return get_be16(block + index * 2);
	case 5:
		return get_be32(block + index * 4);
	default:
		assert(order == 6);
		return get_be64(block + index * 8);
	}
}

static void store_bits(uint8_t *byte, unsigned int shift, unsigned int order, uint64_t value)
{
	unsigned int mask = ((1u << (1u << order)) - 1) << shift;

	*byte = (uint8_t)((*byte & ~mask) | ((unsigned int)value << shift));
}

void refcount_store(uint8_t *block, size_t index, unsigned int order, uint64_t value)
{
	switch (order) {
	case 0:
	case 1:
	case 2:
		store_bits(&block[(index << order) >> 3], shift_in_byte(index, order), order,
			   value);
		break;
	case 3:
		block[index] = (uint8_t)value;
		break;
	case 4:
		put_be16(block + index * 2, (uint16_t)value);
		break;
	case 5:
		put_be32(block + index * 4, (uint32_t)value);
		break;
	default:
		assert(order == 6);
		put_be64(block + index * 8, value);
	}
}
