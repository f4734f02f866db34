/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What table entries say, for the smallest and the largest clusters, and refcounts of every width. */
#include "qcow2/entry.h"

#include "array.h"
#include "test.h"

#include <errno.h>

static struct qcow2_geometry make(unsigned int cluster_bits, unsigned int order)
{
	struct qcow2_geometry geometry;

	geometry_init(&geometry, cluster_bits, order);
	return geometry;
}

static void test_l1(void)
{
	struct qcow2_geometry geometry = make(16, 4);
	struct l1_entry entry;

	CHECK(l1_entry_parse(&geometry, 0, &entry) == 0);
	CHECK(entry.l2_offset == 0 && !entry.copied);
	CHECK(l1_entry_parse(&geometry, QCOW2_FLAG_COPIED | 0x30000, &entry) == 0);
	CHECK(entry.l2_offset == 0x30000 && entry.copied);
	/* Reserved bits do not count. */
	CHECK(l1_entry_parse(&geometry, UINT64_C(0x7f000000000001ff) | 0x30000, &entry) == 0);
	CHECK(entry.l2_offset == 0x30000 && !entry.copied);
	CHECK(l1_entry_parse(&geometry, 0x30200, &entry) == -EUCLEAN);
	geometry = make(9, 4);
	CHECK(l1_entry_parse(&geometry, 0x30200, &entry) == 0);
}

static void test_l2(void)
{
	const struct {
		uint32_t version;
		uint64_t value;
		int r;
		enum cluster_kind kind;
		uint64_t host_offset;
		bool copied;
	} cases[] = {
		{ 3, 0, 0, CLUSTER_UNALLOCATED, 0, false },
		{ 3, QCOW2_FLAG_COPIED, 0, CLUSTER_UNALLOCATED, 0, false },
		{ 3, QCOW2_FLAG_ZERO, 0, CLUSTER_ZERO_PLAIN, 0, false },
		{ 2, QCOW2_FLAG_ZERO, -EUCLEAN, 0, 0, false },
		{ 2, 0x50000, 0, CLUSTER_NORMAL, 0x50000, false },
		{ 3, 0x50000 | QCOW2_FLAG_COPIED, 0, CLUSTER_NORMAL, 0x50000, true },
		{ 3, 0x50001, 0, CLUSTER_ZERO_ALLOCATED, 0x50000, false },
		{ 3, 0x50001 | QCOW2_FLAG_COPIED, 0, CLUSTER_ZERO_ALLOCATED, 0x50000, true },
		{ 3, 0x50200, -EUCLEAN, 0, 0, false },
		{ 3, 0x50201, -EUCLEAN, 0, 0, false },
		{ 3, UINT64_C(0x00ffffffffff0000), 0, CLUSTER_NORMAL, UINT64_C(0x00ffffffffff0000),
		  false },
	};
	struct qcow2_geometry geometry = make(16, 4);

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct l2_entry entry;
		int r = l2_entry_parse(&geometry, cases[i].version, cases[i].value, &entry);

		CHECK_EQUAL(r, cases[i].r);
		if (r < 0)
			continue;
		CHECK_EQUAL(entry.kind, cases[i].kind);
		CHECK_EQUAL(entry.host_offset, cases[i].host_offset);
		CHECK_EQUAL(entry.copied, cases[i].copied);
	}
}

/* The offset has 62 - (cluster_bits - 8) bits; above it the count of further sectors. */
static void test_compressed(unsigned int cluster_bits)
{
	struct qcow2_geometry geometry = make(cluster_bits, 4);
	unsigned int bits = 62 - (cluster_bits - 8);
	uint64_t most = (UINT64_C(1) << (62 - bits)) - 1;
	struct l2_entry entry;

	CHECK(l2_entry_parse(&geometry, 3, QCOW2_FLAG_COMPRESSED | 1000, &entry) == 0);
	CHECK(entry.kind == CLUSTER_COMPRESSED && !entry.copied);
	CHECK_EQUAL(entry.host_offset, 1000);
	CHECK_EQUAL(entry.compressed_length, 512 - 1000 % 512);
	CHECK(l2_entry_parse(&geometry, 2, QCOW2_FLAG_COMPRESSED | (most << bits) | 512, &entry) == 0);
	CHECK_EQUAL(entry.host_offset, 512);
	CHECK_EQUAL(entry.compressed_length, (most + 1) * 512);
	CHECK(entry.compressed_length <= 2 * geometry.cluster_size);
	if (bits > 56)
		CHECK(l2_entry_parse(&geometry, 3, QCOW2_FLAG_COMPRESSED | UINT64_C(1) << 56,
				     &entry) == -EUCLEAN);
}

static void test_reftable(void)
{
	struct qcow2_geometry geometry = make(12, 4);
	uint64_t offset;

	CHECK(reftable_entry_parse(&geometry, 0x5000 | 0x1ff, &offset) == 0 && offset == 0x5000);
	CHECK(reftable_entry_parse(&geometry, 0x5200, &offset) == -EUCLEAN);
	CHECK(reftable_entry_parse(&geometry, UINT64_C(1) << 56, &offset) == -EUCLEAN);
}

/* Store different values side by side, and find each of them again. */
static void test_refcounts(unsigned int order)
{
	struct qcow2_geometry geometry = make(9, order);
	uint64_t max = refcount_max(&geometry);
	uint8_t block[512] = { 0 };
	size_t entries = 512 * 8 >> order;

	for (size_t i = 0; i < entries; i++)
		refcount_store(block, i, order, i % 3 == 0 ? max : (i * 7) & max);
	for (size_t i = 0; i < entries; i++)
		CHECK(refcount_load(block, i, order) == (i % 3 == 0 ? max : ((i * 7) & max)));
	refcount_store(block, entries - 1, order, 0);
	CHECK(refcount_load(block, entries - 1, order) == 0);
	CHECK(refcount_load(block, entries - 2, order) ==
	      ((entries - 2) % 3 == 0 ? max : (((entries - 2) * 7) & max)));
}

/* Counts of less than a byte begin with the lowest bits; larger ones are big-endian. */
static void test_refcount_layout(void)
{
	uint8_t block[8] = { 0 };

	refcount_store(block, 0, 0, 1);
	CHECK_EQUAL(block[0], 0x01);
	refcount_store(block, 1, 2, 0xa);
	CHECK_EQUAL(block[0], 0xa1);
	refcount_store(block, 1, 4, 0x1234);
	CHECK(block[2] == 0x12 && block[3] == 0x34);
}

int main(void)
{
	test_l1();
	test_l2();
	test_compressed(9);
	test_compressed(16);
	test_compressed(21);
	test_reftable();
	for (unsigned int order = 0; order <= 6; order++)
		test_refcounts(order);
	test_refcount_layout();
	return 0;
}
