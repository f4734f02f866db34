/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The qcow2 header: for every limit a row at it and one just over it, and what arrives where. */
#include "qcow2-rows.h"

static const struct row rows[] = {
	{ "sound", {}, 0, NULL },
	{ "sound v2", { VERSION2 }, 0, NULL },

	/* magic, version, cluster_bits */
	{ "magic", { U8(3, 0xfa) }, -EINVAL, "not a qcow2 image: it begins with 0x514649fa" },
	{ "version 1", { U32(4, 1) }, -ENOTSUP, "qcow2 version 1 is not supported" },
	{ "version 4", { U32(4, 4) }, -ENOTSUP, "qcow2 version 4 is not supported" },
	{ "cluster_bits 8",
	  { U32(20, 8) },
	  -EINVAL,
	  "cluster size of 2^8 bytes is not between 2^9 and 2^21" },
	{ "cluster_bits 22",
	  { U32(20, 22) },
	  -EINVAL,
	  "cluster size of 2^22 bytes is not between 2^9 and 2^21" },
	{ "cluster_bits 2^31 + 16",
	  { U32(20, 0x80000010) },
	  -EINVAL,
	  "cluster size of 2^2147483664 bytes is not between 2^9 and 2^21" },
	{ "cluster_bits 9", { U32(20, 9), U32(36, 32768) }, 0, NULL },
	{ "cluster_bits 21", { U32(20, 21), U64(40, 3 << 21), U64(48, 1 << 21) }, 0, NULL },

	/* header_length */
	{ "header length 104", { U32(100, 104) }, 0, NULL },
	{ "no field behind a header of 104", { U32(100, 104), U8(104, 9) }, 0, NULL },
	{ "header length 96", { U32(100, 96) }, -EINVAL, "header length 96 is less than 104" },
	{ "header length 103", { U32(100, 103) }, -EINVAL, "header length 103 is less than 104" },
	{ "header length 105",
	  { U32(100, 105) },
	  -EINVAL,
	  "header length 105 is not a multiple of 8" },
	{ "header length 65536", { U32(100, 65536) }, 0, NULL },
	{ "header length 65544",
	  { U32(100, 65544) },
	  -EINVAL,
	  "header length 65544 is larger than the cluster size of 65536" },
	{ "header length of v2 is not there", { VERSION2, U32(100, 7), EXT(72, 0, 0) }, 0, NULL },

	/* backing file name */
	{ "name at the end of the cluster", { U64(8, 65536) }, 0, NULL },
	{ "name behind the cluster",
	  { U64(8, 65537) },
	  -EINVAL,
	  "backing file name offset 0x10001 lies outside the first cluster" },
	{ "name at 2^63",
	  { U64(8, UINT64_C(1) << 63) },
	  -EINVAL,
	  "backing file name offset 0x8000000000000000 lies outside the first cluster" },
	{ "name of 1023", { U64(8, NAME), U32(16, 1023), FILL(NAME, 1023, 'x') }, 0, NULL },
	{ "name of 1024",
	  { U64(8, NAME), U32(16, 1024) },
	  -EINVAL,
	  "backing file name of 1024 bytes is longer than 1023" },
	{ "name up to the end", { U64(8, 65530), U32(16, 6) }, 0, NULL },
	{ "name over the end",
	  { U64(8, 65530), U32(16, 7) },
	  -EINVAL,
	  "backing file name of 7 bytes at offset 0xfffa exceeds the first cluster" },
	{ "length without a name", { U32(16, 5000) }, 0, NULL },
	{ "name over the header", { U64(8, 8), U32(16, 8) }, 0, NULL },

	/* encryption, refcount order */
	{ "AES", { U32(32, 1) }, 0, NULL },
	{ "encryption 3", { U32(32, 3) }, -ENOTSUP, "encryption method 3 is not supported" },
	{ "refcount order 0", { U32(96, 0) }, 0, NULL },
	{ "refcount order 6", { U32(96, 6) }, 0, NULL },
	{ "refcount order 7", { U32(96, 7) }, -EINVAL, "refcount order 7 is larger than 6" },

	/* L1 table */
	{ "L1 unaligned",
	  { U64(40, 0x30001) },
	  -EINVAL,
	  "L1 table offset 0x30001 is not a multiple of the cluster size" },
	{ "L1 aligned to less",
	  { U64(40, 0x38000) },
	  -EINVAL,
	  "L1 table offset 0x38000 is not a multiple of the cluster size" },
	{ "L1 of 32 MiB", { U32(36, 4194304) }, 0, NULL },
	{ "L1 over 32 MiB",
	  { U32(36, 4194305) },
	  -EINVAL,
	  "L1 table of 4194305 entries is larger than 4194304" },
	{ "L1 at the largest offset", { U64(40, 0x7fffffffffff0000) }, 0, NULL },
	{ "L1 over the largest offset",
	  { U64(40, 0x7fffffffffff0000), U32(36, 8192) },
	  -EINVAL,
	  "L1 table offset 0x7fffffffffff0000 plus its size of 65536 bytes is no file offset" },
	{ "L1 at 2^63",
	  { U64(40, UINT64_C(1) << 63) },
	  -EINVAL,
	  "L1 table offset 0x8000000000000000 plus its size of 16 bytes is no file offset" },
	{ "L1 just large enough", { U64(24, UINT64_C(2) << 29) }, 0, NULL },
	{ "L1 too small by a byte",
	  { U64(24, (UINT64_C(2) << 29) + 1) },
	  -EINVAL,
	  "L1 table of 2 entries is too small: a disk of 1073741825 bytes needs 3" },
	{ "size 2^64 - 1",
	  { U64(24, UINT64_MAX) },
	  -EINVAL,
	  "L1 table of 2 entries is too small: a disk of 18446744073709551615 bytes needs "
	  "34359738368" },
	{ "no L1, no size", { U64(24, 0), U32(36, 0), U64(40, 0) }, 0, NULL },
	{ "no L1, unaligned",
	  { U64(24, 0), U32(36, 0), U64(40, 5) },
	  -EINVAL,
	  "L1 table offset 0x5 is not a multiple of the cluster size" },

	/* refcount table */
	{ "refcount table unaligned",
	  { U64(48, 0x10008) },
	  -EINVAL,
	  "refcount table offset 0x10008 is not a multiple of the cluster size" },
	{ "no refcount table", { U32(56, 0) }, -EINVAL, "refcount table of 0 clusters" },
	{ "refcount table of 8 MiB", { U32(56, 128) }, 0, NULL },
	{ "refcount table over 8 MiB",
	  { U32(56, 129) },
	  -EINVAL,
	  "refcount table of 129 clusters is larger than 128" },
	{ "refcount table over 8 MiB by a wrap",
	  { U32(56, UINT32_MAX) },
	  -EINVAL,
	  "refcount table of 4294967295 clusters is larger than 128" },
	{ "refcount table over the largest offset",
	  { U64(48, 0x7fffffffffff0000) },
	  -EINVAL,
	  "refcount table offset 0x7fffffffffff0000 plus its size of 65536 bytes is no file "
	  "offset" },

	/* snapshot table */
	{ "65536 snapshots", { U32(60, 65536), U64(64, 0x40000) }, 0, NULL },
	{ "65537 snapshots",
	  { U32(60, 65537), U64(64, 0x40000) },
	  -EINVAL,
	  "snapshot table of 65537 entries is larger than 65536" },
	{ "snapshots unaligned",
	  { U32(60, 1), U64(64, 0x40200) },
	  -EINVAL,
	  "snapshot table offset 0x40200 is not a multiple of the cluster size" },
	{ "no snapshots, unaligned",
	  { U64(64, 1) },
	  -EINVAL,
	  "snapshot table offset 0x1 is not a multiple of the cluster size" },
	{ "snapshots over the largest offset",
	  { U32(60, 1), U64(64, ~UINT64_C(0xffff)) },
	  -EINVAL,
	  "snapshot table offset 0xffffffffffff0000 plus its size of 40 bytes is no file offset" },

	/* feature bits */
	{ "all known bits", { U64(72, 0x17), U32(36, 4) }, 0, NULL },
	{ "unknown bits without names",
	  { U64(72, UINT64_C(1) << 63 | 1 << 5) },
	  -ENOTSUP,
	  "qcow2 feature not supported: bit 5, bit 63" },
	{ "unknown bits, other faults",
	  { U64(72, 1 << 5), U64(40, 1), U32(56, 0), U32(96, 9), U32(32, 9), U8(104, 9) },
	  -ENOTSUP,
	  "qcow2 feature not supported: bit 5" },
	{ "incompatible bits of v2 are not there",
	  { VERSION2, EXT(72, 0, 0), U64(80, 255) },
	  0,
	  NULL },
	{ "unknown compatible and autoclear bits",
	  { U64(80, UINT64_MAX), U64(88, ~UINT64_C(3)) },
	  0,
	  NULL },
	{ "raw data bit alone",
	  { U64(88, 2) },
	  -EINVAL,
	  "raw external data feature bit without an external data file" },
	{ "raw data bit with a data file", { U64(72, 4), U64(88, 2) }, 0, NULL },
	{ "extended L2, 16 KiB clusters", { U64(72, 16), U32(20, 14), U32(36, 64) }, 0, NULL },
	{ "extended L2, 8 KiB clusters",
	  { U64(72, 16), U32(20, 13), U32(36, 256) },
	  -EINVAL,
	  "cluster size of 8192 bytes is less than the 16384 that extended L2 entries need" },
	{ "extended L2, L1 large enough", { U64(72, 16), U32(36, 4) }, 0, NULL },
	{ "extended L2, L1 too small",
	  { U64(72, 16), U32(36, 3) },
	  -EINVAL,
	  "L1 table of 3 entries is too small: a disk of 1073741824 bytes needs 4" },

	/* compression type */
	{ "zstd", { U64(72, 8), U8(104, 1) }, 0, NULL },
	{ "zstd without the bit",
	  { U8(104, 1) },
	  -EINVAL,
	  "compression type 1 without the compression type feature bit" },
	{ "the bit with deflate",
	  { U64(72, 8) },
	  -EINVAL,
	  "compression type feature bit with compression type 0" },
	{ "the bit without the field",
	  { U64(72, 8), U32(100, 104), U64(104, 0) },
	  -EINVAL,
	  "compression type feature bit with compression type 0" },
	{ "type 2", { U64(72, 8), U8(104, 2) }, -ENOTSUP, "compression type 2 is not supported" },
	{ "type 255 without the bit",
	  { U8(104, 255) },
	  -ENOTSUP,
	  "compression type 255 is not supported" },
	{ "padding", { FILL(105, 7, 0xff) }, 0, NULL },
};

static void test_rows(void)
{
	static uint8_t bytes[CLUSTER_SIZE];

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		make_header(bytes, 3);
		apply(bytes, &rows[i]);
		check_row(bytes, &rows[i]);
	}
}

/* Every field of version 3 arrives where it belongs. */
static void test_fields(void)
{
	static const struct row row = { "fields",
					{ U64(72, 0x1f), U64(80, 0x8001), U64(88, 0xf0), U32(96, 5),
					  U8(104, 1), U32(60, 3), U64(64, 0x50000), U32(32, 1) },
					0,
					NULL };
	static uint8_t bytes[CLUSTER_SIZE];
	struct qcow2_header header;

	make_header(bytes, 3);
	put_be32(bytes + QCOW2_AT_L1_SIZE, 9);
	put_be64(bytes + QCOW2_AT_SIZE, 1000000001);
	apply(bytes, &row);
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, NULL), 0);
	CHECK(header.version == 3 && header.cluster_bits == 16 && header.size == 1000000001);
	CHECK(header.crypt_method == 1 && header.l1_size == 9 && header.l1_offset == 0x30000);
	CHECK(header.reftable_offset == 0x10000 && header.reftable_clusters == 1);
	CHECK(header.snapshot_count == 3 && header.snapshots_offset == 0x50000);
	CHECK(header.incompatible == 0x1f && header.compatible == 0x8001);
	CHECK(header.autoclear == 0xf0 && header.refcount_order == 5);
	CHECK(header.header_length == 112 && header.compression_type == 1);
	CHECK(!header.backing_name && !header.backing_format && !header.data_file_name);
	CHECK(!header.has_bitmaps && !header.has_luks);
	qcow2_header_finish(&header);
}

/* Version 2 has no feature bits, whatever lies where version 3 keeps them. */
static void test_version_2(void)
{
	static uint8_t bytes[CLUSTER_SIZE];
	struct qcow2_header header;

	make_header(bytes, 2);
	put_be64(bytes + QCOW2_AT_BACKING_OFFSET, 72);
	put_be32(bytes + QCOW2_AT_BACKING_LENGTH, 40);
	memset(bytes + 72, 'b', 64);
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, NULL), 0);
	CHECK(header.version == 2 && header.refcount_order == 4 && header.header_length == 72);
	CHECK(!header.incompatible && !header.compatible && !header.autoclear);
	CHECK(header.compression_type == 0);
	CHECK(strlen(header.backing_name) == 40 && header.backing_name[39] == 'b');
	qcow2_header_finish(&header);
	CHECK(!header.backing_name);
}

/* A file that ends within its header goes on with zeroes. */
static void test_short_files(void)
{
	static uint8_t bytes[CLUSTER_SIZE];
	struct qcow2_header header;
	struct imgfmt_error error;

	make_header(bytes, 2);
	CHECK_EQUAL(parse(bytes, QCOW2_HEADER_LENGTH_V2, &header, NULL), 0);
	qcow2_header_finish(&header);
	CHECK_EQUAL(parse(bytes, 1, &header, &error), -EINVAL);
	CHECK(strcmp(error.text, "not a qcow2 image: it begins with 0x51000000") == 0);

	make_header(bytes, 3);
	CHECK_EQUAL(parse(bytes, 103, &header, &error), -EINVAL);
	CHECK(strcmp(error.text, "header length 0 is less than 104") == 0);
	CHECK_EQUAL(parse(bytes, 104, &header, NULL), 0);
	qcow2_header_finish(&header);
	put_be64(bytes + QCOW2_AT_BACKING_OFFSET, 112);
	put_be32(bytes + QCOW2_AT_BACKING_LENGTH, 6);
	memcpy(bytes + 112, "abcdef", 6);
	CHECK_EQUAL(parse(bytes, 115, &header, NULL), 0);
	CHECK(strcmp(header.backing_name, "abc") == 0);
	qcow2_header_finish(&header);
}

static void test_extent(void)
{
	static uint8_t bytes[CLUSTER_SIZE];
	struct imgfmt_error error;
	size_t length = 77;

	make_header(bytes, 3);
	CHECK(qcow2_header_extent(bytes, &length, NULL) == 0 && length == 65536);
	put_be32(bytes + QCOW2_AT_CLUSTER_BITS, 9);
	CHECK(qcow2_header_extent(bytes, &length, NULL) == 0 && length == 512);
	put_be32(bytes + QCOW2_AT_CLUSTER_BITS, 64);
	CHECK(qcow2_header_extent(bytes, &length, &error) == -EINVAL && length == 512);
	CHECK(strcmp(error.text, "cluster size of 2^64 bytes is not between 2^9 and 2^21") == 0);
}

int main(void)
{
	test_rows();
	test_fields();
	test_version_2();
	test_short_files();
	test_extent();
	return 0;
}
