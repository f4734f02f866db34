/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What table entries say, for the smallest and the largest clusters, and refcounts of every width.
 */
#include "qcow2/entry.h"

#include "array.h"
#include "test.h"

#include <errno.h>

static struct qcow2_geometry make(unsigned int cluster_bits, unsigned int order, uint64_t features)
{
	const struct qcow2_header header = {
		.version = 3,
		.cluster_bits = cluster_bits,
		.refcount_order = order,
		.incompatible = features,
	};
	struct qcow2_geometry geometry;

	geometry_init(&geometry, &header);
	return geometry;
}

static void test_l1(void)
{
	struct qcow2_geometry geometry = make(16, 4, 0);
	struct l1_entry entry;

	CHECK(l1_entry_parse(&geometry, 0, &entry) == 0);
	CHECK(entry.l2_offset == 0 && !entry.copied);
	CHECK(l1_entry_parse(&geometry, QCOW2_FLAG_COPIED | 0x30000, &entry) == 0);
	CHECK(entry.l2_offset == 0x30000 && entry.copied);
	/* Reserved bits do not count. */
	CHECK(l1_entry_parse(&geometry, UINT64_C(0x7f000000000001ff) | 0x30000, &entry) == 0);
	CHECK(entry.l2_offset == 0x30000 && !entry.copied);
	CHECK(l1_entry_parse(&geometry, 0x30200, &entry) == -EUCLEAN);
	geometry = make(9, 4, 0);
	CHECK(l1_entry_parse(&geometry, 0x30200, &entry) == 0);
}

/* An entry of the guest cluster at 0x70000, and what it says of a subcluster. */
struct l2_case {
	uint64_t descriptor, bitmap;
	unsigned int subcluster;
	int r;
	enum subcluster_kind kind;
	uint64_t host_offset;
	bool has_host, copied;
};

static void check_l2(const struct qcow2_geometry *geometry, const struct l2_case *cases,
		     size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct l2_raw raw = { cases[i].descriptor, cases[i].bitmap };
		struct l2_entry entry;
		int r = l2_parse(geometry, raw, 0x70000, cases[i].subcluster, &entry);

		if (r != cases[i].r)
			fprintf(stderr, "case %zu\n", i);
		CHECK_EQUAL(r, cases[i].r);
		if (r < 0)
			continue;
		CHECK_EQUAL(entry.kind, cases[i].kind);
		CHECK_EQUAL(entry.host_offset, cases[i].host_offset);
		CHECK_EQUAL(entry.has_host, cases[i].has_host);
		CHECK_EQUAL(entry.copied, cases[i].copied);
	}
}

#define COPIED QCOW2_FLAG_COPIED

static void test_standard(void)
{
	const struct l2_case cases[] = {
		{ 0, 0, 0, 0, SUBCLUSTER_UNALLOCATED, 0, false, false },
		{ COPIED, 0, 0, 0, SUBCLUSTER_UNALLOCATED, 0, false, false },
		{ 1, 0, 0, 0, SUBCLUSTER_ZERO, 0, false, false },
		{ 0x50000, 0, 0, 0, SUBCLUSTER_NORMAL, 0x50000, true, false },
		{ 0x50000 | COPIED, 0, 0, 0, SUBCLUSTER_NORMAL, 0x50000, true, true },
		{ 0x50001, 0, 0, 0, SUBCLUSTER_ZERO, 0x50000, true, false },
		{ 0x50001 | COPIED, 0, 0, 0, SUBCLUSTER_ZERO, 0x50000, true, true },
		{ 0x50200, 0, 0, -EUCLEAN, 0, 0, false, false },
		{ 0x50201, 0, 0, -EUCLEAN, 0, 0, false, false },
		{ UINT64_C(0x00ffffffffff0000), 0, 0, 0, SUBCLUSTER_NORMAL,
		  UINT64_C(0x00ffffffffff0000), true, false },
	};
	struct qcow2_geometry geometry = make(16, 4, 0);
	struct l2_entry entry;

	check_l2(&geometry, cases, ARRAY_LENGTH(cases));
	geometry.zero_flags = false;
	CHECK(l2_parse(&geometry, (struct l2_raw){ 1, 0 }, 0, 0, &entry) == -EUCLEAN);
	CHECK(l2_parse(&geometry, (struct l2_raw){ 0x50000, 0 }, 0, 0, &entry) == 0);
}

static void test_extended(void)
{
	const uint64_t zero_3 = UINT64_C(1) << 35, data_3 = 1 << 3;
	const struct l2_case cases[] = {
		{ 0, 0, 3, 0, SUBCLUSTER_UNALLOCATED, 0, false, false },
		{ 0, zero_3, 3, 0, SUBCLUSTER_ZERO, 0, false, false },
		{ 0, zero_3, 4, 0, SUBCLUSTER_UNALLOCATED, 0, false, false },
		{ 0, data_3, 3, -EUCLEAN, 0, 0, false, false },
		{ 0x50000 | COPIED, data_3, 3, 0, SUBCLUSTER_NORMAL, 0x50000, true, true },
		{ 0x50000 | COPIED, data_3, 2, 0, SUBCLUSTER_UNALLOCATED, 0x50000, true, true },
		{ 0x50000, zero_3, 3, 0, SUBCLUSTER_ZERO, 0x50000, true, false },
		{ 0x50000, zero_3 | data_3, 3, -EUCLEAN, 0, 0, false, false },
		/* The zero flag of standard entries has no meaning. */
		{ 0x50001, 0, 0, 0, SUBCLUSTER_UNALLOCATED, 0x50000, true, false },
		{ QCOW2_FLAG_COMPRESSED | 1000, 0, 9, 0, SUBCLUSTER_COMPRESSED, 1000, false,
		  false },
		{ QCOW2_FLAG_COMPRESSED | 1000, 1, 9, -EUCLEAN, 0, 0, false, false },
	};
	struct qcow2_geometry geometry = make(16, 4, QCOW2_INCOMPATIBLE_EXTENDED_L2);

	CHECK_EQUAL(geometry.subclusters, 32);
	CHECK_EQUAL(geometry.subcluster_bits, 11);
	CHECK_EQUAL(geometry.l2_bits, 12);
	check_l2(&geometry, cases, ARRAY_LENGTH(cases));
}

/* In a data file a guest cluster lies where it lies in the guest. */
static void test_external_data(void)
{
	const struct l2_case cases[] = {
		{ 0, 0, 0, 0, SUBCLUSTER_UNALLOCATED, 0, false, false },
		{ 0x70000 | COPIED, 0, 0, 0, SUBCLUSTER_NORMAL, 0x70000, true, true },
		{ 0x80000 | COPIED, 0, 0, -EUCLEAN, 0, 0, false, false },
		{ COPIED, 0, 0, -EUCLEAN, 0, 0, false, false },
		{ QCOW2_FLAG_COMPRESSED | 1000, 0, 0, -EUCLEAN, 0, 0, false, false },
	};
	struct qcow2_geometry geometry = make(16, 4, QCOW2_INCOMPATIBLE_DATA_FILE);
	struct l2_entry entry;

	check_l2(&geometry, cases, ARRAY_LENGTH(cases));
	CHECK(l2_parse(&geometry, (struct l2_raw){ COPIED, 0 }, 0x8000, 0, &entry) == 0);
	CHECK(entry.kind == SUBCLUSTER_NORMAL && entry.has_host && entry.host_offset == 0);
}

/* The offset has 62 - (cluster_bits - 8) bits; above it the count of further sectors. */
static void test_compressed(unsigned int cluster_bits)
{
	struct qcow2_geometry geometry = make(cluster_bits, 4, 0);
	unsigned int bits = 62 - (cluster_bits - 8);
	uint64_t most = (UINT64_C(1) << (62 - bits)) - 1;
	struct l2_raw raw = { .descriptor = QCOW2_FLAG_COMPRESSED | 1000 };
	struct l2_entry entry;

	CHECK(l2_parse(&geometry, raw, 0, 0, &entry) == 0);
	CHECK(entry.kind == SUBCLUSTER_COMPRESSED && !entry.copied && !entry.has_host);
	CHECK_EQUAL(entry.host_offset, 1000);
	CHECK_EQUAL(entry.compressed_length, 512 - 1000 % 512);
	raw.descriptor = QCOW2_FLAG_COMPRESSED | (most << bits) | 512;
	CHECK(l2_parse(&geometry, raw, 0, 0, &entry) == 0);
	CHECK_EQUAL(entry.host_offset, 512);
	CHECK_EQUAL(entry.compressed_length, (most + 1) * 512);
	CHECK(entry.compressed_length <= 2 * geometry.cluster_size);
	raw.descriptor = QCOW2_FLAG_COMPRESSED | UINT64_C(1) << 56;
	if (bits > 56)
		CHECK(l2_parse(&geometry, raw, 0, 0, &entry) == -EUCLEAN);
}

static void check_raw(struct l2_raw raw, uint64_t descriptor, uint64_t bitmap)
{
	CHECK_EQUAL(raw.descriptor, descriptor);
	CHECK_EQUAL(raw.bitmap, bitmap);
}

static void test_making(void)
{
	struct qcow2_geometry standard = make(16, 4, 0);
	struct qcow2_geometry extended = make(16, 4, QCOW2_INCOMPATIBLE_EXTENDED_L2);
	struct l2_raw old = { 0x50001, 0 };

	check_raw(l2_with_data(&standard, old, 0x50000, 0, 1), 0x50000 | COPIED, 0);
	check_raw(l2_with_zeroes(&standard, (struct l2_raw){ 0x50000 | COPIED, 0 }, 0, 1),
		  0x50001 | COPIED, 0);
	check_raw(l2_zero_plain(&standard), 1, 0);
	old = (struct l2_raw){ 0x50000 | COPIED, UINT64_C(0xf000000f) | UINT64_C(0xff0) << 32 };
	check_raw(l2_with_data(&extended, old, 0x50000, 4, 4), 0x50000 | COPIED,
		  UINT64_C(0xf00000ff) | UINT64_C(0xf00) << 32);
	check_raw(l2_with_zeroes(&extended, old, 0, 2), 0x50000 | COPIED,
		  UINT64_C(0xf000000c) | UINT64_C(0xff3) << 32);
	check_raw(l2_with_data(&extended, old, 0x50000, 0, 32), 0x50000 | COPIED,
		  L2_BITMAP_ALL_ALLOCATED);
	check_raw(l2_zero_plain(&extended), 0, L2_BITMAP_ALL_ZERO);
}

static void test_slice(void)
{
	struct qcow2_geometry standard = make(16, 4, 0);
	struct qcow2_geometry extended = make(16, 4, QCOW2_INCOMPATIBLE_EXTENDED_L2);
	const struct l2_raw raw = { 0x123456789, 0xabcdef };
	uint8_t slice[64] = { 0 };

	l2_store(&standard, slice, 2, raw);
	check_raw(l2_load(&standard, slice, 2), raw.descriptor, 0);
	check_raw(l2_load(&standard, slice, 3), 0, 0);
	l2_store(&extended, slice, 2, raw);
	check_raw(l2_load(&extended, slice, 2), raw.descriptor, raw.bitmap);
	check_raw(l2_load(&extended, slice, 3), 0, 0);
}

static void test_reftable(void)
{
	struct qcow2_geometry geometry = make(12, 4, 0);
	uint64_t offset;

	CHECK(reftable_entry_parse(&geometry, 0x5000 | 0x1ff, &offset) == 0 && offset == 0x5000);
	CHECK(reftable_entry_parse(&geometry, 0x5200, &offset) == -EUCLEAN);
	CHECK(reftable_entry_parse(&geometry, UINT64_C(1) << 56, &offset) == -EUCLEAN);
}

/* Store different values side by side, and find each of them again. */
static void test_refcounts(unsigned int order)
{
	struct qcow2_geometry geometry = make(9, order, 0);
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
	test_standard();
	test_extended();
	test_external_data();
	test_making();
	test_slice();
	test_compressed(9);
	test_compressed(16);
	test_compressed(21);
	test_reftable();
	for (unsigned int order = 0; order <= 6; order++)
		test_refcounts(order);
	test_refcount_layout();
	return 0;
}
