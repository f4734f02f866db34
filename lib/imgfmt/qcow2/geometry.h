/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The geometry of a qcow2 image: guest and host offsets to indices and back. Pure arithmetic on
 * values that the header parser has checked.
 */
#pragma once

#include "align.h"
#include "ondisk.h"

#include <stddef.h>

/* Tables are read, cached and written in slices of this size, or of a cluster if that is smaller. */
#define QCOW2_SLICE_BITS 12u

struct qcow2_geometry {
	unsigned int cluster_bits;
	uint64_t cluster_size;
	unsigned int l2_bits;        /* log2 of the entries of an L2 table */
	unsigned int refcount_order; /* log2 of the bits of a refcount */
	unsigned int block_bits;     /* log2 of the entries of a refcount block */
	unsigned int slice_bits;
	size_t slice_size;
};

static inline void geometry_init(struct qcow2_geometry *geometry, unsigned int cluster_bits,
				 unsigned int refcount_order)
{
	geometry->cluster_bits = cluster_bits;
	geometry->cluster_size = UINT64_C(1) << cluster_bits;
	geometry->l2_bits = cluster_bits - 3;
	geometry->refcount_order = refcount_order;
	geometry->block_bits = cluster_bits + 3 - refcount_order;
	geometry->slice_bits = cluster_bits < QCOW2_SLICE_BITS ? cluster_bits : QCOW2_SLICE_BITS;
	geometry->slice_size = (size_t)1 << geometry->slice_bits;
}

/* ---- guest ---- */

static inline uint64_t into_cluster(const struct qcow2_geometry *geometry, uint64_t offset)
{
	return offset & (geometry->cluster_size - 1);
}

/* log2 of the guest bytes that one L1 entry covers. */
static inline unsigned int l1_entry_bits(const struct qcow2_geometry *geometry)
{
	return geometry->cluster_bits + geometry->l2_bits;
}

static inline uint64_t l1_index(const struct qcow2_geometry *geometry, uint64_t guest_offset)
{
	return guest_offset >> l1_entry_bits(geometry);
}

static inline uint64_t l2_index(const struct qcow2_geometry *geometry, uint64_t guest_offset)
{
	return (guest_offset >> geometry->cluster_bits) & ((UINT64_C(1) << geometry->l2_bits) - 1);
}

/* How many L1 entries a disk of @size bytes needs. */
static inline uint64_t l1_entries_for(const struct qcow2_geometry *geometry, uint64_t size)
{
	return units_of(size, l1_entry_bits(geometry));
}

/* Guest bytes from @guest_offset to where the next L1 entry begins to be responsible. */
static inline uint64_t to_l1_entry_end(const struct qcow2_geometry *geometry, uint64_t guest_offset)
{
	uint64_t span = UINT64_C(1) << l1_entry_bits(geometry);

	return span - (guest_offset & (span - 1));
}

/* ---- host ---- */

static inline uint64_t cluster_of(const struct qcow2_geometry *geometry, uint64_t host_offset)
{
	return host_offset >> geometry->cluster_bits;
}

static inline uint64_t offset_of(const struct qcow2_geometry *geometry, uint64_t host_cluster)
{
	return host_cluster << geometry->cluster_bits;
}

/* Which entry of the refcount table leads to the refcount of a host cluster. */
static inline uint64_t block_index(const struct qcow2_geometry *geometry, uint64_t host_cluster)
{
	return host_cluster >> geometry->block_bits;
}

/* Which entry of its refcount block a host cluster has. */
static inline uint64_t index_in_block(const struct qcow2_geometry *geometry, uint64_t host_cluster)
{
	return host_cluster & ((UINT64_C(1) << geometry->block_bits) - 1);
}

static inline uint64_t refcount_max(const struct qcow2_geometry *geometry)
{
	unsigned int bits = 1u << geometry->refcount_order;

	return bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}
