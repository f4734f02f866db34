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

enum cluster_kind {
	CLUSTER_UNALLOCATED,
	CLUSTER_ZERO_PLAIN,     /* reads as zeroes, and takes no space */
	CLUSTER_ZERO_ALLOCATED, /* reads as zeroes, and has a host cluster in reserve */
	CLUSTER_NORMAL,
	CLUSTER_COMPRESSED,
};

/* What an L2 entry says of a guest cluster. */
struct l2_entry {
	enum cluster_kind kind;
	bool copied;          /* the host cluster has refcount 1, and may be written in place */
	uint64_t host_offset; /* ZERO_ALLOCATED, NORMAL: of the cluster; COMPRESSED: of the first byte */
	size_t compressed_length; /* COMPRESSED: an upper bound, in bytes */
};

/* -EUCLEAN: the L2 table does not lie on a cluster boundary. */
int l1_entry_parse(const struct qcow2_geometry *geometry, uint64_t entry, struct l1_entry *ret);

/*
 * -EUCLEAN: a cluster that does not lie on a boundary, compressed bytes beyond what a file can have, a
 * zero flag in a version 2 image.
 */
int l2_entry_parse(const struct qcow2_geometry *geometry, uint32_t version, uint64_t entry,
		   struct l2_entry *ret);

/* The offset of a refcount block, 0 where there is none. -EUCLEAN as above. */
int reftable_entry_parse(const struct qcow2_geometry *geometry, uint64_t entry, uint64_t *ret);

/* The refcount at @index of a block, or of a slice of one, with refcounts of 2^@order bits. */
uint64_t refcount_load(const uint8_t *block, size_t index, unsigned int order);

/* Set it; @value fits. */
void refcount_store(uint8_t *block, size_t index, unsigned int order, uint64_t value);
