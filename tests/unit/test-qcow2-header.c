/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The qcow2 header: one sound header of 64 KiB clusters, and rows that each change a few of its
 * bytes. A row says what parsing returns then, and the exact words; for every limit there is a
 * row at it and one just over it.
 */
#include "test.h"

#include "array.h"
#include "bytes.h"
#include "qcow2/header.h"

#include <errno.h>

#define CLUSTER_SIZE 65536

/* Where the tests put extensions and names. */
enum { FIRST = 112, NAME = 0x400 };

/* @width bytes of @value at @at, or a text, or a byte repeated where @width is larger than 8. */
struct change {
	unsigned int at, width;
	uint64_t value;
	const char *text;
};

struct row {
	const char *what;
	struct change changes[8];
	int r;
	const char *words;
};

static void put(uint8_t *bytes, unsigned int at, unsigned int width, uint64_t value)
{
	for (unsigned int i = 0; i < width; i++)
		bytes[at + i] = (uint8_t)(value >> (width > 8 ? 0 : 8 * (width - 1 - i)));
}

static void make_header(uint8_t *bytes, unsigned int version)
{
	memset(bytes, 0, CLUSTER_SIZE);
	put_be32(bytes + QCOW2_AT_MAGIC, QCOW2_MAGIC);
	put_be32(bytes + QCOW2_AT_VERSION, version);
	put_be32(bytes + QCOW2_AT_CLUSTER_BITS, 16);
	put_be64(bytes + QCOW2_AT_SIZE, UINT64_C(1) << 30);
	put_be32(bytes + QCOW2_AT_L1_SIZE, 2);
	put_be64(bytes + QCOW2_AT_L1_OFFSET, 0x30000);
	put_be64(bytes + QCOW2_AT_REFTABLE_OFFSET, 0x10000);
	put_be32(bytes + QCOW2_AT_REFTABLE_CLUSTERS, 1);
	if (version == 2)
		return;
	put_be32(bytes + QCOW2_AT_REFCOUNT_ORDER, 4);
	put_be32(bytes + QCOW2_AT_HEADER_LENGTH, 112);
}

static void apply(uint8_t *bytes, const struct row *row)
{
	for (size_t i = 0; i < ARRAY_LENGTH(row->changes); i++) {
		const struct change *change = &row->changes[i];

		if (change->text)
			memcpy(bytes + change->at, change->text, strlen(change->text));
		else
			put(bytes, change->at, change->width, change->value);
	}
}

#define U8(at, value)	    { at, 1, value, NULL }
#define U32(at, value)	    { at, 4, value, NULL }
#define U64(at, value)	    { at, 8, value, NULL }
#define FILL(at, n, byte)   { at, n, byte, NULL }
#define TEXT(at, text)	    { at, 0, 0, text }
#define EXT(at, type, size) U32(at, type), U32((at) + 4, size)
#define VERSION2	    U32(QCOW2_AT_VERSION, 2)

#define FORMAT	 QCOW2_EXTENSION_BACKING_FORMAT
#define BITMAPS	 QCOW2_EXTENSION_BITMAPS
#define LUKS	 QCOW2_EXTENSION_LUKS
#define DATAFILE QCOW2_EXTENSION_DATA_FILE
#define NAMES	 QCOW2_EXTENSION_FEATURE_NAMES

static const struct row rows[] = {
	{ "sound", {}, 0, NULL },
	{ "sound v2", { VERSION2 }, 0, NULL },

	/* magic, version, cluster_bits */
	{ "magic", { U8(3, 0xfa) }, -EINVAL, "not a qcow2 image: it begins with 0x514649fa" },
	{ "version 1", { U32(4, 1) }, -ENOTSUP, "qcow2 version 1 is not supported" },
	{ "version 4", { U32(4, 4) }, -ENOTSUP, "qcow2 version 4 is not supported" },
	{ "cluster_bits 8", { U32(20, 8) }, -EINVAL,
	  "cluster size of 2^8 bytes is not between 2^9 and 2^21" },
	{ "cluster_bits 22", { U32(20, 22) }, -EINVAL,
	  "cluster size of 2^22 bytes is not between 2^9 and 2^21" },
	{ "cluster_bits 2^31 + 16", { U32(20, 0x80000010) }, -EINVAL,
	  "cluster size of 2^2147483664 bytes is not between 2^9 and 2^21" },
	{ "cluster_bits 9", { U32(20, 9), U32(36, 32768) }, 0, NULL },
	{ "cluster_bits 21",
	  { U32(20, 21), U64(40, 3 << 21), U64(48, 1 << 21) }, 0, NULL },

	/* header_length */
	{ "header length 104", { U32(100, 104) }, 0, NULL },
	{ "no field behind a header of 104", { U32(100, 104), U8(104, 9) }, 0, NULL },
	{ "header length 96", { U32(100, 96) }, -EINVAL, "header length 96 is less than 104" },
	{ "header length 103", { U32(100, 103) }, -EINVAL, "header length 103 is less than 104" },
	{ "header length 105", { U32(100, 105) }, -EINVAL,
	  "header length 105 is not a multiple of 8" },
	{ "header length 65536", { U32(100, 65536) }, 0, NULL },
	{ "header length 65544", { U32(100, 65544) }, -EINVAL,
	  "header length 65544 is larger than the cluster size of 65536" },
	{ "header length of v2 is not there", { VERSION2, U32(100, 7), EXT(72, 0, 0) }, 0, NULL },

	/* backing file name */
	{ "name at the end of the cluster", { U64(8, 65536) }, 0, NULL },
	{ "name behind the cluster", { U64(8, 65537) }, -EINVAL,
	  "backing file name offset 0x10001 lies outside the first cluster" },
	{ "name at 2^63", { U64(8, UINT64_C(1) << 63) }, -EINVAL,
	  "backing file name offset 0x8000000000000000 lies outside the first cluster" },
	{ "name of 1023", { U64(8, NAME), U32(16, 1023), FILL(NAME, 1023, 'x') }, 0, NULL },
	{ "name of 1024", { U64(8, NAME), U32(16, 1024) }, -EINVAL,
	  "backing file name of 1024 bytes is longer than 1023" },
	{ "name up to the end", { U64(8, 65530), U32(16, 6) }, 0, NULL },
	{ "name over the end", { U64(8, 65530), U32(16, 7) }, -EINVAL,
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
	{ "L1 unaligned", { U64(40, 0x30001) }, -EINVAL,
	  "L1 table offset 0x30001 is not a multiple of the cluster size" },
	{ "L1 aligned to less", { U64(40, 0x38000) }, -EINVAL,
	  "L1 table offset 0x38000 is not a multiple of the cluster size" },
	{ "L1 of 32 MiB", { U32(36, 4194304) }, 0, NULL },
	{ "L1 over 32 MiB", { U32(36, 4194305) }, -EINVAL,
	  "L1 table of 4194305 entries is larger than 4194304" },
	{ "L1 at the largest offset", { U64(40, 0x7fffffffffff0000) }, 0, NULL },
	{ "L1 over the largest offset", { U64(40, 0x7fffffffffff0000), U32(36, 8192) }, -EINVAL,
	  "L1 table offset 0x7fffffffffff0000 plus its size of 65536 bytes is no file offset" },
	{ "L1 at 2^63", { U64(40, UINT64_C(1) << 63) }, -EINVAL,
	  "L1 table offset 0x8000000000000000 plus its size of 16 bytes is no file offset" },
	{ "L1 just large enough", { U64(24, UINT64_C(2) << 29) }, 0, NULL },
	{ "L1 too small by a byte", { U64(24, (UINT64_C(2) << 29) + 1) }, -EINVAL,
	  "L1 table of 2 entries is too small: a disk of 1073741825 bytes needs 3" },
	{ "size 2^64 - 1", { U64(24, UINT64_MAX) }, -EINVAL,
	  "L1 table of 2 entries is too small: a disk of 18446744073709551615 bytes needs "
	  "34359738368" },
	{ "no L1, no size", { U64(24, 0), U32(36, 0), U64(40, 0) }, 0, NULL },
	{ "no L1, unaligned", { U64(24, 0), U32(36, 0), U64(40, 5) }, -EINVAL,
	  "L1 table offset 0x5 is not a multiple of the cluster size" },

	/* refcount table */
	{ "refcount table unaligned", { U64(48, 0x10008) }, -EINVAL,
	  "refcount table offset 0x10008 is not a multiple of the cluster size" },
	{ "no refcount table", { U32(56, 0) }, -EINVAL, "refcount table of 0 clusters" },
	{ "refcount table of 8 MiB", { U32(56, 128) }, 0, NULL },
	{ "refcount table over 8 MiB", { U32(56, 129) }, -EINVAL,
	  "refcount table of 129 clusters is larger than 128" },
	{ "refcount table over 8 MiB by a wrap", { U32(56, UINT32_MAX) }, -EINVAL,
	  "refcount table of 4294967295 clusters is larger than 128" },
	{ "refcount table over the largest offset", { U64(48, 0x7fffffffffff0000) }, -EINVAL,
	  "refcount table offset 0x7fffffffffff0000 plus its size of 65536 bytes is no file "
	  "offset" },

	/* snapshot table */
	{ "65536 snapshots", { U32(60, 65536), U64(64, 0x40000) }, 0, NULL },
	{ "65537 snapshots", { U32(60, 65537), U64(64, 0x40000) }, -EINVAL,
	  "snapshot table of 65537 entries is larger than 65536" },
	{ "snapshots unaligned", { U32(60, 1), U64(64, 0x40200) }, -EINVAL,
	  "snapshot table offset 0x40200 is not a multiple of the cluster size" },
	{ "no snapshots, unaligned", { U64(64, 1) }, -EINVAL,
	  "snapshot table offset 0x1 is not a multiple of the cluster size" },
	{ "snapshots over the largest offset", { U32(60, 1), U64(64, ~UINT64_C(0xffff)) }, -EINVAL,
	  "snapshot table offset 0xffffffffffff0000 plus its size of 40 bytes is no file offset" },

	/* feature bits */
	{ "all known bits", { U64(72, 0x17), U32(36, 4) }, 0, NULL },
	{ "unknown bits without names", { U64(72, UINT64_C(1) << 63 | 1 << 5) }, -ENOTSUP,
	  "qcow2 feature not supported: bit 5, bit 63" },
	{ "unknown bits with names",
	  { U64(72, 1 << 6 | 1 << 5), EXT(FIRST, NAMES, 96), U8(FIRST + 9, 6),
	    TEXT(FIRST + 10, "shiny"), U8(FIRST + 57, 5), TEXT(FIRST + 58, "new\n\x1b[1m") },
	  -ENOTSUP, "qcow2 feature not supported: new??[1m, shiny" },
	{ "a name of 46 characters",
	  { U64(72, 1 << 6), EXT(FIRST, NAMES, 50), U8(FIRST + 9, 6), FILL(FIRST + 10, 48, 'n') },
	  -ENOTSUP,
	  "qcow2 feature not supported: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" },
	{ "the name of a compatible feature",
	  { U64(72, 1 << 6), EXT(FIRST, NAMES, 48), U8(FIRST + 8, 1), U8(FIRST + 9, 6),
	    TEXT(FIRST + 10, "shiny") },
	  -ENOTSUP, "qcow2 feature not supported: bit 6" },
	{ "a cut off name entry",
	  { U64(72, 1 << 6), EXT(FIRST, NAMES, 47), U8(FIRST + 9, 6), TEXT(FIRST + 10, "shiny") },
	  -ENOTSUP, "qcow2 feature not supported: bit 6" },
	{ "unknown bits, broken extensions", { U64(72, 1 << 5), EXT(FIRST, FORMAT, UINT32_MAX) },
	  -ENOTSUP, "qcow2 feature not supported: bit 5" },
	{ "unknown bits, other faults",
	  { U64(72, 1 << 5), U64(40, 1), U32(56, 0), U32(96, 9), U32(32, 9), U8(104, 9) }, -ENOTSUP,
	  "qcow2 feature not supported: bit 5" },
	{ "incompatible bits of v2 are not there", { VERSION2, EXT(72, 0, 0), U64(80, 255) }, 0,
	  NULL },
	{ "unknown compatible and autoclear bits", { U64(80, UINT64_MAX), U64(88, ~UINT64_C(3)) },
	  0, NULL },
	{ "raw data bit alone", { U64(88, 2) }, -EINVAL,
	  "raw external data feature bit without an external data file" },
	{ "raw data bit with a data file", { U64(72, 4), U64(88, 2) }, 0, NULL },
	{ "extended L2, 16 KiB clusters", { U64(72, 16), U32(20, 14), U32(36, 64) }, 0, NULL },
	{ "extended L2, 8 KiB clusters", { U64(72, 16), U32(20, 13), U32(36, 256) }, -EINVAL,
	  "cluster size of 8192 bytes is less than the 16384 that extended L2 entries need" },
	{ "extended L2, L1 large enough", { U64(72, 16), U32(36, 4) }, 0, NULL },
	{ "extended L2, L1 too small", { U64(72, 16), U32(36, 3) }, -EINVAL,
	  "L1 table of 3 entries is too small: a disk of 1073741824 bytes needs 4" },

	/* compression type */
	{ "zstd", { U64(72, 8), U8(104, 1) }, 0, NULL },
	{ "zstd without the bit", { U8(104, 1) }, -EINVAL,
	  "compression type 1 without the compression type feature bit" },
	{ "the bit with deflate", { U64(72, 8) }, -EINVAL,
	  "compression type feature bit with compression type 0" },
	{ "the bit without the field", { U64(72, 8), U32(100, 104), U64(104, 0) }, -EINVAL,
	  "compression type feature bit with compression type 0" },
	{ "type 2", { U64(72, 8), U8(104, 2) }, -ENOTSUP, "compression type 2 is not supported" },
	{ "type 255 without the bit", { U8(104, 255) }, -ENOTSUP,
	  "compression type 255 is not supported" },
	{ "padding", { FILL(105, 7, 0xff) }, 0, NULL },

	/* the extension area */
	{ "unknown extension", { EXT(FIRST, 0x1234, 9), EXT(FIRST + 24, 0x1234, 0) }, 0, NULL },
	{ "extension up to the end", { EXT(FIRST, 0x1234, 65536 - 120) }, 0, NULL },
	{ "extension over the end", { EXT(FIRST, 0x1234, 65536 - 119) }, -EINVAL,
	  "header extension 0x00001234 at offset 112 of 65417 bytes exceeds its area, which ends "
	  "at offset 65536" },
	{ "extension of 4 GiB", { EXT(FIRST, 0x1234, UINT32_MAX) }, -EINVAL,
	  "header extension 0x00001234 at offset 112 of 4294967295 bytes exceeds its area, which "
	  "ends at offset 65536" },
	{ "end of a length", { EXT(FIRST, 0, 65536) }, -EINVAL,
	  "header extension 0x00000000 at offset 112 of 65536 bytes exceeds its area, which ends "
	  "at offset 65536" },
	{ "garbage behind the end", { EXT(FIRST, 0, 0), EXT(FIRST + 8, FORMAT, UINT32_MAX) }, 0,
	  NULL },
	{ "extension up to the name", { U64(8, 136), EXT(FIRST, 0x1234, 16) }, 0, NULL },
	{ "extension over the name", { U64(8, 135), EXT(FIRST, 0x1234, 16) }, -EINVAL,
	  "header extension 0x00001234 at offset 112 of 16 bytes exceeds its area, which ends at "
	  "offset 135" },
	{ "padded over the name", { U64(8, 135), EXT(FIRST, 0x1234, 15) }, 0, NULL },
	{ "an end just before the name", { U64(8, 120) }, 0, NULL },
	{ "name too close for an extension", { U64(8, 119) }, -EINVAL,
	  "header extension at offset 112 exceeds its area, which ends at offset 119" },
	{ "extensions of v2", { VERSION2, EXT(72, FORMAT, 16) }, -EINVAL,
	  "backing file format of 16 bytes is longer than 15" },

	/* each extension */
	{ "backing format of 15", { EXT(FIRST, FORMAT, 15), FILL(FIRST + 8, 15, 'f') }, 0, NULL },
	{ "backing format of 16", { EXT(FIRST, FORMAT, 16), FILL(FIRST + 8, 16, 'f') }, -EINVAL,
	  "backing file format of 16 bytes is longer than 15" },
	{ "two backing formats",
	  { EXT(FIRST, FORMAT, 3), TEXT(FIRST + 8, "raw"), EXT(FIRST + 16, FORMAT, 3) }, -EINVAL,
	  "second backing file format extension at offset 128" },
	{ "two name tables", { EXT(FIRST, NAMES, 0), EXT(FIRST + 8, NAMES, 0) }, -EINVAL,
	  "second feature name table extension at offset 120" },
	{ "two data files",
	  { EXT(FIRST, DATAFILE, 3), TEXT(FIRST + 8, "raw"), EXT(FIRST + 16, DATAFILE, 3) },
	  -EINVAL, "second external data file name extension at offset 128" },
	{ "LUKS", { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, 0x40000), U64(128, 592) }, 0,
	  NULL },
	{ "LUKS without the extension", { U32(32, 2) }, -EINVAL,
	  "encryption method 2 without the LUKS header extension" },
	{ "LUKS extension with AES", { U32(32, 1), EXT(FIRST, LUKS, 16) }, -EINVAL,
	  "LUKS header extension with encryption method 1" },
	{ "LUKS extension of 24", { U32(32, 2), EXT(FIRST, LUKS, 24) }, -EINVAL,
	  "LUKS header extension is 24 bytes long, not 16" },
	{ "LUKS unaligned", { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, 0x40200) }, -EINVAL,
	  "LUKS header offset 0x40200 is not a multiple of the cluster size" },
	{ "LUKS over the largest offset",
	  { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, 0x40000), U64(128, INT64_MAX) }, -EINVAL,
	  "LUKS header offset 0x40000 plus its length of 9223372036854775807 bytes is no file "
	  "offset" },
	{ "LUKS at 2^63", { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, UINT64_C(1) << 63) },
	  -EINVAL,
	  "LUKS header offset 0x8000000000000000 plus its length of 0 bytes is no file offset" },
};

/* Rows that all have the bitmaps bit and extension of one bitmap. */
static const struct row bitmap_rows[] = {
	{ "sound", {}, 0, NULL },
	{ "no extension", { U32(FIRST, 0x1234) }, -EINVAL,
	  "bitmaps feature bit without the bitmaps extension" },
	{ "23 bytes", { U32(FIRST + 4, 23) }, -EINVAL,
	  "bitmaps extension is 23 bytes long, not 24" },
	{ "twice", { EXT(FIRST + 32, BITMAPS, 24) }, -EINVAL,
	  "second bitmaps extension at offset 144" },
	{ "no bitmaps", { U32(FIRST + 8, 0) }, -EINVAL, "bitmaps extension with 0 bitmaps" },
	{ "65535 bitmaps", { U32(FIRST + 8, 65535) }, 0, NULL },
	{ "65536 bitmaps", { U32(FIRST + 8, 65536) }, -EINVAL,
	  "65536 bitmaps are more than 65535" },
	{ "reserved", { U32(FIRST + 12, 1) }, -EINVAL,
	  "reserved field of the bitmaps extension is 0x1, not 0" },
	{ "directory of 0", { U64(FIRST + 16, 0) }, -EINVAL, "bitmap directory of 0 bytes" },
	{ "directory of the limit", { U64(FIRST + 16, 67107840) }, 0, NULL },
	{ "directory over the limit", { U64(FIRST + 16, 67107841) }, -EINVAL,
	  "bitmap directory of 67107841 bytes is larger than 67107840" },
	{ "directory unaligned", { U64(FIRST + 24, 0x40008) }, -EINVAL,
	  "bitmap directory offset 0x40008 is not a multiple of the cluster size" },
	{ "directory over the largest offset", { U64(FIRST + 24, UINT64_C(1) << 63) }, -EINVAL,
	  "bitmap directory offset 0x8000000000000000 plus its size of 64 bytes is no file "
	  "offset" },
	{ "stale and wrong", { U64(88, 0), FILL(FIRST + 8, 24, 0xff) }, 0, NULL },
	{ "stale and short", { U64(88, 0), U32(FIRST + 4, 8) }, -EINVAL,
	  "bitmaps extension is 8 bytes long, not 24" },
};

/* Parse from a buffer of exactly @count bytes, so that a sanitizer sees any read behind it. */
static int parse(const uint8_t *bytes, size_t count, struct qcow2_header *ret,
		 struct imgfmt_error *error)
{
	uint8_t *copy = malloc(count);
	int r;

	CHECK(copy);
	memcpy(copy, bytes, count);
	r = qcow2_header_parse(copy, count, ret, error);
	free(copy);
	return r;
}

static void check_row(const uint8_t *bytes, const struct row *row)
{
	struct qcow2_header header = { .version = 77 };
	struct imgfmt_error error = { "" };
	int r = parse(bytes, CLUSTER_SIZE, &header, &error);

	if (r != row->r || strcmp(error.text, row->words ? row->words : "") != 0)
		test_failed(__FILE__, __LINE__, "%s: returned %d, \"%s\"", row->what, r,
			    error.text);
	if (r == 0)
		qcow2_header_finish(&header);
	else
		CHECK_EQUAL(header.version, 77); /* untouched */
	CHECK_EQUAL(parse(bytes, CLUSTER_SIZE, &header, NULL), row->r);
	if (r == 0)
		qcow2_header_finish(&header);
}

static void test_rows(void)
{
	static uint8_t bytes[CLUSTER_SIZE];

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		make_header(bytes, 3);
		apply(bytes, &rows[i]);
		check_row(bytes, &rows[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bitmap_rows); i++) {
		make_header(bytes, 3);
		put_be64(bytes + QCOW2_AT_AUTOCLEAR, QCOW2_AUTOCLEAR_BITMAPS);
		put_be32(bytes + FIRST, BITMAPS);
		put_be32(bytes + FIRST + 4, 24);
		put_be32(bytes + FIRST + 8, 1);
		put_be64(bytes + FIRST + 16, 64);
		put_be64(bytes + FIRST + 24, 0x40000);
		apply(bytes, &bitmap_rows[i]);
		check_row(bytes, &bitmap_rows[i]);
	}
}

/* Every field of version 3 arrives where it belongs. */
static void test_fields(void)
{
	static const struct row row = {
		"fields",
		{ U64(72, 0x1f), U64(80, 0x8001), U64(88, 0xf0), U32(96, 5), U8(104, 1),
		  U32(60, 3), U64(64, 0x50000), U32(32, 1) },
		0, NULL };
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

static void test_strings(void)
{
	static const struct row row = {
		"strings",
		{ TEXT(FIRST + 8, "qcow2-not-this"), TEXT(FIRST + 24, "data.raw"),
		  EXT(FIRST, FORMAT, 5), EXT(FIRST + 16, DATAFILE, 8),
		  TEXT(NAME, "base.qcow2-not-this") },
		0, NULL };
	static uint8_t bytes[CLUSTER_SIZE];
	struct qcow2_header header;

	make_header(bytes, 3);
	put_be64(bytes + QCOW2_AT_BACKING_OFFSET, NAME);
	put_be32(bytes + QCOW2_AT_BACKING_LENGTH, 10);
	apply(bytes, &row);
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, NULL), 0);
	CHECK(strcmp(header.backing_name, "base.qcow2") == 0);
	CHECK(strcmp(header.backing_format, "qcow2") == 0);
	CHECK(strcmp(header.data_file_name, "data.raw") == 0);
	qcow2_header_finish(&header);

	/* A NUL ends them, and nothing is no string. */
	bytes[NAME + 4] = bytes[FIRST + 8] = bytes[FIRST + 24 + 7] = 0;
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, NULL), 0);
	CHECK(strcmp(header.backing_name, "base") == 0);
	CHECK(!header.backing_format);
	CHECK(strcmp(header.data_file_name, "data.ra") == 0);
	qcow2_header_finish(&header);
}

static void test_pointers(void)
{
	static const struct row row = {
		"pointers",
		{ U64(88, 1), EXT(FIRST, BITMAPS, 24), U32(FIRST + 8, 2), U64(FIRST + 16, 96),
		  U64(FIRST + 24, 0x40000), EXT(FIRST + 32, LUKS, 16) },
		0, NULL };
	static uint8_t bytes[CLUSTER_SIZE];
	struct qcow2_header header;

	make_header(bytes, 3);
	put_be32(bytes + QCOW2_AT_CRYPT_METHOD, QCOW2_CRYPT_LUKS);
	apply(bytes, &row);
	put_be64(bytes + FIRST + 40, 0x60000);
	put_be64(bytes + FIRST + 48, 592);
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, NULL), 0);
	CHECK(header.has_bitmaps && header.bitmap_count == 2);
	CHECK(header.bitmap_directory_size == 96 && header.bitmap_directory_offset == 0x40000);
	CHECK(header.has_luks && header.luks_offset == 0x60000 && header.luks_length == 592);
	qcow2_header_finish(&header);

	bytes[QCOW2_AT_AUTOCLEAR + 7] = 0; /* stale: there, and without a say */
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, NULL), 0);
	CHECK(header.has_bitmaps && header.bitmap_count == 0);
	CHECK(header.bitmap_directory_size == 0 && header.bitmap_directory_offset == 0);
	qcow2_header_finish(&header);
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

/* More names than there is room for in a message: cut off, and not written over the end. */
static void test_many_names(void)
{
	static uint8_t bytes[CLUSTER_SIZE];
	struct qcow2_header header;
	struct imgfmt_error error;

	make_header(bytes, 3);
	put_be64(bytes + QCOW2_AT_INCOMPATIBLE, UINT64_MAX);
	put_be32(bytes + FIRST, NAMES);
	put_be32(bytes + FIRST + 4, 64 * 48);
	for (unsigned int bit = 0; bit < 64; bit++) {
		bytes[FIRST + 8 + bit * 48 + 1] = (uint8_t)bit;
		memset(bytes + FIRST + 8 + bit * 48 + 2, 'n', 46);
	}
	CHECK_EQUAL(parse(bytes, sizeof(bytes), &header, &error), -ENOTSUP);
	CHECK_EQUAL(strlen(error.text), strlen("qcow2 feature not supported: ") + 399);
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
	test_strings();
	test_pointers();
	test_short_files();
	test_many_names();
	test_extent();
	return 0;
}
