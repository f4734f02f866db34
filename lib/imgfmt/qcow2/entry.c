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

static int parse_compressed(const struct qcow2_geometry *geometry, uint64_t entry,
			    struct l2_entry *ret)
{
	unsigned int offset_bits = 62 - (geometry->cluster_bits - 8);
	uint64_t host_offset = entry & ((UINT64_C(1) << offset_bits) - 1);
	uint64_t sectors = ((entry & ~(QCOW2_FLAG_COPIED | QCOW2_FLAG_COMPRESSED)) >> offset_bits) + 1;

	if (host_offset > QCOW2_MAX_HOST_OFFSET)
		return -EUCLEAN;
	ret->kind = CLUSTER_COMPRESSED;
	ret->copied = false;
	ret->host_offset = host_offset;
	ret->compressed_length = (size_t)(sectors * 512 - (host_offset & 511));
	return 0;
}

int l2_entry_parse(const struct qcow2_geometry *geometry, uint32_t version, uint64_t entry,
		   struct l2_entry *ret)
{
	uint64_t host_offset = entry & QCOW2_OFFSET_MASK;
	bool zero = (entry & QCOW2_FLAG_ZERO) != 0;

	if (entry & QCOW2_FLAG_COMPRESSED)
		return parse_compressed(geometry, entry, ret);
	if (zero && version < 3)
		return -EUCLEAN;
	if (into_cluster(geometry, host_offset) != 0)
		return -EUCLEAN;
	ret->host_offset = host_offset;
	ret->compressed_length = 0;
	ret->copied = host_offset != 0 && (entry & QCOW2_FLAG_COPIED);
	if (zero)
		ret->kind = host_offset ? CLUSTER_ZERO_ALLOCATED : CLUSTER_ZERO_PLAIN;
	else
		ret->kind = host_offset ? CLUSTER_NORMAL : CLUSTER_UNALLOCATED;
	return 0;
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
		return (block[(index << order) >> 3] >> shift_in_byte(index, order)) &
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
		store_bits(&block[(index << order) >> 3], shift_in_byte(index, order), order, value);
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
