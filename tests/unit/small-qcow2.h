/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A minimal qcow2 image, version 3, for tests that then damage it: clusters of 4 KiB, and in this
 * order the header, the refcount table, a refcount block, the L1 table, an L2 table, and one
 * cluster of data, full of 0x77, for guest cluster 0.
 */
#pragma once

#include "bytes.h"
#include "imgfmt.h"
#include "qcow2/ondisk.h"
#include "test.h"

#define CLUSTER   4096u
#define DISK_SIZE (512u * CLUSTER) /* what one L2 table covers */

enum {
	AT_REFTABLE = 1 * CLUSTER,
	AT_BLOCK = 2 * CLUSTER,
	AT_L1 = 3 * CLUSTER,
	AT_L2 = 4 * CLUSTER,
	AT_DATA = 5 * CLUSTER,
	IMAGE_END = 6 * CLUSTER,
};

static inline void poke64(int fd, uint64_t offset, uint64_t value)
{
	uint8_t bytes[8];

	put_be64(bytes, value);
	CHECK(pwrite(fd, bytes, sizeof(bytes), (off_t)offset) == sizeof(bytes));
}

static inline uint64_t peek64(int fd, uint64_t offset)
{
	uint8_t bytes[8];

	CHECK(pread(fd, bytes, sizeof(bytes), (off_t)offset) == sizeof(bytes));
	return get_be64(bytes);
}

static inline void make_header(uint8_t *header)
{
	put_be32(header + QCOW2_AT_MAGIC, QCOW2_MAGIC);
	put_be32(header + QCOW2_AT_VERSION, 3);
	put_be32(header + QCOW2_AT_CLUSTER_BITS, 12);
	put_be64(header + QCOW2_AT_SIZE, DISK_SIZE);
	put_be32(header + QCOW2_AT_L1_SIZE, 1);
	put_be64(header + QCOW2_AT_L1_OFFSET, AT_L1);
	put_be64(header + QCOW2_AT_REFTABLE_OFFSET, AT_REFTABLE);
	put_be32(header + QCOW2_AT_REFTABLE_CLUSTERS, 1);
	put_be32(header + QCOW2_AT_REFCOUNT_ORDER, 4);
	put_be32(header + QCOW2_AT_HEADER_LENGTH, QCOW2_HEADER_LENGTH_V3);
}

/* Returns a descriptor of the image, which is a file in memory. */
static inline int small_qcow2(void)
{
	int fd = test_memory_file();
	uint8_t cluster[CLUSTER] = { 0 };

	make_header(cluster);
	CHECK(pwrite(fd, cluster, CLUSTER, 0) == CLUSTER);
	poke64(fd, AT_REFTABLE, AT_BLOCK);
	poke64(fd, AT_BLOCK, UINT64_C(0x0001000100010001));
	poke64(fd, AT_BLOCK + 8, UINT64_C(0x0001000100000000));
	poke64(fd, AT_L1, AT_L2 | QCOW2_FLAG_COPIED);
	poke64(fd, AT_L2, AT_DATA | QCOW2_FLAG_COPIED);
	memset(cluster, 0x77, sizeof(cluster));
	CHECK(pwrite(fd, cluster, CLUSTER, AT_DATA) == CLUSTER);
	return fd;
}
