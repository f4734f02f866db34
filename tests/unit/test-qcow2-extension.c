/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The extensions of the qcow2 header: where they may lie, and what each may hold. */
#include "qcow2-rows.h"

static const struct row rows[] = {
	/* the extension area */
	{ "unknown extension", { EXT(FIRST, 0x1234, 9), EXT(FIRST + 24, 0x1234, 0) }, 0, NULL },
	{ "extension up to the end", { EXT(FIRST, 0x1234, 65536 - 120) }, 0, NULL },
	{ "extension over the end",
	  { EXT(FIRST, 0x1234, 65536 - 119) },
	  -EINVAL,
	  "header extension 0x00001234 at offset 112 of 65417 bytes exceeds its area, which ends "
	  "at offset 65536" },
	{ "extension of 4 GiB",
	  { EXT(FIRST, 0x1234, UINT32_MAX) },
	  -EINVAL,
	  "header extension 0x00001234 at offset 112 of 4294967295 bytes exceeds its area, which "
	  "ends at offset 65536" },
	{ "end of a length",
	  { EXT(FIRST, 0, 65536) },
	  -EINVAL,
	  "header extension 0x00000000 at offset 112 of 65536 bytes exceeds its area, which ends "
	  "at offset 65536" },
	{ "garbage behind the end",
	  { EXT(FIRST, 0, 0), EXT(FIRST + 8, FORMAT, UINT32_MAX) },
	  0,
	  NULL },
	{ "extension up to the name", { U64(8, 136), EXT(FIRST, 0x1234, 16) }, 0, NULL },
	{ "extension over the name",
	  { U64(8, 135), EXT(FIRST, 0x1234, 16) },
	  -EINVAL,
	  "header extension 0x00001234 at offset 112 of 16 bytes exceeds its area, which ends at "
	  "offset 135" },
	{ "padded over the name", { U64(8, 135), EXT(FIRST, 0x1234, 15) }, 0, NULL },
	{ "an end just before the name", { U64(8, 120) }, 0, NULL },
	{ "name too close for an extension",
	  { U64(8, 119) },
	  -EINVAL,
	  "header extension at offset 112 exceeds its area, which ends at offset 119" },
	{ "extensions of v2",
	  { VERSION2, EXT(72, FORMAT, 16) },
	  -EINVAL,
	  "backing file format of 16 bytes is longer than 15" },

	/* each extension */
	{ "backing format of 15", { EXT(FIRST, FORMAT, 15), FILL(FIRST + 8, 15, 'f') }, 0, NULL },
	{ "backing format of 16",
	  { EXT(FIRST, FORMAT, 16), FILL(FIRST + 8, 16, 'f') },
	  -EINVAL,
	  "backing file format of 16 bytes is longer than 15" },
	{ "two backing formats",
	  { EXT(FIRST, FORMAT, 3), TEXT(FIRST + 8, "raw"), EXT(FIRST + 16, FORMAT, 3) },
	  -EINVAL,
	  "second backing file format extension at offset 128" },
	{ "two name tables",
	  { EXT(FIRST, NAMES, 0), EXT(FIRST + 8, NAMES, 0) },
	  -EINVAL,
	  "second feature name table extension at offset 120" },
	{ "two data files",
	  { EXT(FIRST, DATAFILE, 3), TEXT(FIRST + 8, "raw"), EXT(FIRST + 16, DATAFILE, 3) },
	  -EINVAL,
	  "second external data file name extension at offset 128" },
	{ "LUKS", { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, 0x40000), U64(128, 592) }, 0, NULL },
	{ "LUKS without the extension",
	  { U32(32, 2) },
	  -EINVAL,
	  "encryption method 2 without the LUKS header extension" },
	{ "LUKS extension with AES",
	  { U32(32, 1), EXT(FIRST, LUKS, 16) },
	  -EINVAL,
	  "LUKS header extension with encryption method 1" },
	{ "LUKS extension of 24",
	  { U32(32, 2), EXT(FIRST, LUKS, 24) },
	  -EINVAL,
	  "LUKS header extension is 24 bytes long, not 16" },
	{ "LUKS unaligned",
	  { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, 0x40200) },
	  -EINVAL,
	  "LUKS header offset 0x40200 is not a multiple of the cluster size" },
	{ "LUKS over the largest offset",
	  { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, 0x40000), U64(128, INT64_MAX) },
	  -EINVAL,
	  "LUKS header offset 0x40000 plus its length of 9223372036854775807 bytes is no file "
	  "offset" },
	{ "LUKS at 2^63",
	  { U32(32, 2), EXT(FIRST, LUKS, 16), U64(120, UINT64_C(1) << 63) },
	  -EINVAL,
	  "LUKS header offset 0x8000000000000000 plus its length of 0 bytes is no file offset" },

	/* names for features that we do not know */
	{ "unknown bits with names",
	  { U64(72, 1 << 6 | 1 << 5), EXT(FIRST, NAMES, 96), U8(FIRST + 9, 6),
	    TEXT(FIRST + 10, "shiny"), U8(FIRST + 57, 5), TEXT(FIRST + 58, "new\n\x1b[1m") },
	  -ENOTSUP,
	  "qcow2 feature not supported: new??[1m, shiny" },
	{ "a name of 46 characters",
	  { U64(72, 1 << 6), EXT(FIRST, NAMES, 50), U8(FIRST + 9, 6), FILL(FIRST + 10, 48, 'n') },
	  -ENOTSUP,
	  "qcow2 feature not supported: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" },
	{ "the name of a compatible feature",
	  { U64(72, 1 << 6), EXT(FIRST, NAMES, 48), U8(FIRST + 8, 1), U8(FIRST + 9, 6),
	    TEXT(FIRST + 10, "shiny") },
	  -ENOTSUP,
	  "qcow2 feature not supported: bit 6" },
	{ "a cut off name entry",
	  { U64(72, 1 << 6), EXT(FIRST, NAMES, 47), U8(FIRST + 9, 6), TEXT(FIRST + 10, "shiny") },
	  -ENOTSUP,
	  "qcow2 feature not supported: bit 6" },
	{ "unknown bits, broken extensions",
	  { U64(72, 1 << 5), EXT(FIRST, FORMAT, UINT32_MAX) },
	  -ENOTSUP,
	  "qcow2 feature not supported: bit 5" },
};

/* Rows that all have the bitmaps bit and extension of one bitmap. */
static const struct row bitmap_rows[] = {
	{ "sound", {}, 0, NULL },
	{ "no extension",
	  { U32(FIRST, 0x1234) },
	  -EINVAL,
	  "bitmaps feature bit without the bitmaps extension" },
	{ "23 bytes",
	  { U32(FIRST + 4, 23) },
	  -EINVAL,
	  "bitmaps extension is 23 bytes long, not 24" },
	{ "twice",
	  { EXT(FIRST + 32, BITMAPS, 24) },
	  -EINVAL,
	  "second bitmaps extension at offset 144" },
	{ "no bitmaps", { U32(FIRST + 8, 0) }, -EINVAL, "bitmaps extension with 0 bitmaps" },
	{ "65535 bitmaps", { U32(FIRST + 8, 65535) }, 0, NULL },
	{ "65536 bitmaps",
	  { U32(FIRST + 8, 65536) },
	  -EINVAL,
	  "65536 bitmaps are more than 65535" },
	{ "reserved",
	  { U32(FIRST + 12, 1) },
	  -EINVAL,
	  "reserved field of the bitmaps extension is 0x1, not 0" },
	{ "directory of 0", { U64(FIRST + 16, 0) }, -EINVAL, "bitmap directory of 0 bytes" },
	{ "directory of the limit", { U64(FIRST + 16, 67107840) }, 0, NULL },
	{ "directory over the limit",
	  { U64(FIRST + 16, 67107841) },
	  -EINVAL,
	  "bitmap directory of 67107841 bytes is larger than 67107840" },
	{ "directory unaligned",
	  { U64(FIRST + 24, 0x40008) },
	  -EINVAL,
	  "bitmap directory offset 0x40008 is not a multiple of the cluster size" },
	{ "directory over the largest offset",
	  { U64(FIRST + 24, UINT64_C(1) << 63) },
	  -EINVAL,
	  "bitmap directory offset 0x8000000000000000 plus its size of 64 bytes is no file "
	  "offset" },
	{ "stale and wrong", { U64(88, 0), FILL(FIRST + 8, 24, 0xff) }, 0, NULL },
	{ "stale and short",
	  { U64(88, 0), U32(FIRST + 4, 8) },
	  -EINVAL,
	  "bitmaps extension is 8 bytes long, not 24" },
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

static void test_bitmaps(void)
{
	static uint8_t bytes[CLUSTER_SIZE];

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

static void test_strings(void)
{
	static const struct row row = { "strings",
					{ TEXT(FIRST + 8, "qcow2-not-this"),
					  TEXT(FIRST + 24, "data.raw"), EXT(FIRST, FORMAT, 5),
					  EXT(FIRST + 16, DATAFILE, 8),
					  TEXT(NAME, "base.qcow2-not-this") },
					0,
					NULL };
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
	static const struct row row = { "pointers",
					{ U64(88, 1), EXT(FIRST, BITMAPS, 24), U32(FIRST + 8, 2),
					  U64(FIRST + 16, 96), U64(FIRST + 24, 0x40000),
					  EXT(FIRST + 32, LUKS, 16) },
					0,
					NULL };
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

int main(void)
{
	test_rows();
	test_bitmaps();
	test_strings();
	test_pointers();
	test_many_names();
	return 0;
}
