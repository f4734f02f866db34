/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an entry of an L1, L2, refcount table or refcount block says. Pure: a number in, values or
 * -EUCLEAN out.
 */
#pragma once

#include "geometry.h"

#include <stdbool.h>

/* Where an L1 entry leads. */
struct l1_entry {
	uint64_t l2_offset; /* 0: nothing of the range is allocated */
	bool copied;        /* the table has refcount 1, and may be written in place */
};

/* An L2 entry as it stands in the table. */
struct l2_raw {
	uint64_t descriptor;
	uint64_t bitmap; /* of an extended entry: two bits for each subcluster; otherwise 0 */
};

#define L2_BITMAP_ALL_ZERO      UINT64_C(0xffffffff00000000)
#define L2_BITMAP_ALL_ALLOCATED UINT64_C(0x00000000ffffffff)

enum subcluster_kind {
	SUBCLUSTER_UNALLOCATED, /* shows the backing image */
	SUBCLUSTER_ZERO,
	SUBCLUSTER_NORMAL,
	SUBCLUSTER_COMPRESSED, /* always the whole cluster */
};

/* What an L2 entry says of one subcluster. */
struct l2_entry {
	enum subcluster_kind kind;
	bool has_host;        /* there is a host cluster, also where it holds nothing to be read */
	bool copied;          /* it has refcount 1, and may be written in place */
	uint64_t host_offset; /* of the host cluster; COMPRESSED: of the first byte */
	size_t compressed_length; /* COMPRESSED: an upper bound, in bytes */
};

/* -EUCLEAN: the L2 table does not lie on a cluster boundary. */
int l1_entry_parse(const struct qcow2_geometry *geometry, uint64_t entry, struct l1_entry *ret);

/* The entry at @index of an L2 slice. */
struct l2_raw l2_load(const struct qcow2_geometry *geometry, const uint8_t *slice, size_t index);

void l2_store(const struct qcow2_geometry *geometry, uint8_t *slice, size_t index,
	      struct l2_raw raw);

/*
 * What @raw says of subcluster @subcluster of the cluster at @guest_offset. -EUCLEAN: a host
 * cluster that does not lie on a boundary, or in a data file anywhere but at @guest_offset; a zero
 * flag in a version 2 image; compressed bytes beyond what a file can have, or in a data file; a
 * subcluster that is allocated and zero, or allocated without a host cluster.
 */
int l2_parse(const struct qcow2_geometry *geometry, struct l2_raw raw, uint64_t guest_offset,
	     unsigned int subcluster, struct l2_entry *ret);

/*
 * The entry for a host cluster with refcount 1 where @count subclusters from @first on hold data,
 * and the others are what @old says: zero, or unallocated, or in the same host cluster.
 */
struct l2_raw l2_with_data(const struct qcow2_geometry *geometry, struct l2_raw old,
			   uint64_t host_offset, unsigned int first, unsigned int count);

/* @old with @count subclusters from @first on reading as zeroes, the host cluster as it was. */
struct l2_raw l2_with_zeroes(const struct qcow2_geometry *geometry, struct l2_raw old,
			     unsigned int first, unsigned int count);

/* The entry of a cluster that reads as zeroes and has no host cluster. */
struct l2_raw l2_zero_plain(const struct qcow2_geometry *geometry);

/* The offset of a refcount block, 0 where there is none. -EUCLEAN as above. */
int reftable_entry_parse(const struct qcow2_geometry *geometry, uint64_t entry, uint64_t *ret);

/* The refcount at @index of a block, or of a slice of one, with refcounts of 2^@order bits. */
uint64_t refcount_load(const uint8_t *block, size_t index, unsigned int order);

/* Set it; @value fits. */
void refcount_store(uint8_t *block, size_t index, unsigned int order, uint64_t value);
