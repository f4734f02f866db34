/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The geometry of a qcow2 image: guest and host offsets to indices and back. Pure arithmetic on
 * values that the header parser has checked.
 */
#pragma once

#include "align.h"
#include "header.h"

#include <stddef.h>

/*
 * Tables are read, cached and written in slices of this size, or of a cluster if that is smaller.
 */
#define QCOW2_SLICE_BITS 12u

/*
 * A cluster consists of subclusters: 32 with extended L2 entries, otherwise one, so that the same
 * code serves both.
 */
struct qcow2_geometry {
	unsigned int cluster_bits;
	uint64_t cluster_size;
	unsigned int subcluster_bits;
	unsigned int subclusters;    /* of a cluster: 1 or 32 */
	unsigned int entry_bits;     /* log2 of the bytes of an L2 entry: 3, or 4 if extended */
	unsigned int l2_bits;        /* log2 of the entries of an L2 table */
	unsigned int refcount_order; /* log2 of the bits of a refcount */
	unsigned int block_bits;     /* log2 of the entries of a refcount block */
	unsigned int slice_bits;
	size_t slice_size;
	bool zero_flags;    /* entries may say that a cluster is zero: version 3 */
	bool external_data; /* guest clusters lie in a data file, at the same offset */
};

/* What the geometry of an image follows from. */
static inline void geometry_init(struct qcow2_geometry *geometry, const struct qcow2_header *header)
{
	bool extended = (header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
	unsigned int cluster_bits = header->cluster_bits;

	geometry->cluster_bits = cluster_bits;
	geometry->cluster_size = UINT64_C(1) << cluster_bits;
	geometry->subcluster_bits = extended ? cluster_bits - 5 : cluster_bits;
	geometry->subclusters = extended ? 32 : 1;
	geometry->entry_bits = extended ? 4 : 3;
	geometry->l2_bits = cluster_bits - geometry->entry_bits;
	geometry->refcount_order = header->refcount_order;
	geometry->block_bits = cluster_bits + 3 - header->refcount_order;
	geometry->slice_bits = cluster_bits < QCOW2_SLICE_BITS ? cluster_bits : QCOW2_SLICE_BITS;
	geometry->slice_size = (size_t)1 << geometry->slice_bits;
	geometry->zero_flags = header->version >= 3;
	geometry->external_data = (header->incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;
}

/* ---- guest ---- */

static inline uint64_t into_cluster(const struct qcow2_geometry *geometry, uint64_t offset)
{
	return offset & (geometry->cluster_size - 1);
}

static inline uint64_t into_subcluster(const struct qcow2_geometry *geometry, uint64_t offset)
{
	return offset & ((UINT64_C(1) << geometry->subcluster_bits) - 1);
}

/* Which subcluster of its cluster @guest_offset lies in. */
static inline unsigned int subcluster_index(const struct qcow2_geometry *geometry,
					    uint64_t guest_offset)
{
	return (unsigned int)(into_cluster(geometry, guest_offset) >> geometry->subcluster_bits);
}

/* How many subclusters @length bytes from @guest_offset on touch. */
static inline uint64_t subclusters_touched(const struct qcow2_geometry *geometry,
					   uint64_t guest_offset, uint64_t length)
{
	return units_of(into_subcluster(geometry, guest_offset) + length,
			geometry->subcluster_bits);
}

/* L2 entries of a slice. */
static inline size_t entries_per_slice(const struct qcow2_geometry *geometry)
{
	return geometry->slice_size >> geometry->entry_bits;
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
