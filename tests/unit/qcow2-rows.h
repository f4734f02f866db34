/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows of changes to a sound qcow2 header of 64 KiB clusters: what the tests of the header and of
 * its extensions share. A row says what parsing returns then, and the exact words.
 */
#pragma once

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

static inline void put(uint8_t *bytes, unsigned int at, unsigned int width, uint64_t value)
{
	for (unsigned int i = 0; i < width; i++)
		bytes[at + i] = (uint8_t)(value >> (width > 8 ? 0 : 8 * (width - 1 - i)));
}

static inline void make_header(uint8_t *bytes, unsigned int version)
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

static inline void apply(uint8_t *bytes, const struct row *row)
{
	for (size_t i = 0; i < ARRAY_LENGTH(row->changes); i++) {
		const struct change *change = &row->changes[i];

		if (change->text)
			memcpy(bytes + change->at, change->text, strlen(change->text));
		else
			put(bytes, change->at, change->width, change->value);
	}
}

#define U8(at, value)              \
	{                          \
		at, 1, value, NULL \
	}
#define U32(at, value)             \
	{                          \
		at, 4, value, NULL \
	}
#define U64(at, value)             \
	{                          \
		at, 8, value, NULL \
	}
#define FILL(at, n, byte)         \
	{                         \
		at, n, byte, NULL \
	}
#define TEXT(at, text)         \
	{                      \
		at, 0, 0, text \
	}
#define EXT(at, type, size) U32(at, type), U32((at) + 4, size)
#define VERSION2            U32(QCOW2_AT_VERSION, 2)

#define FORMAT   QCOW2_EXTENSION_BACKING_FORMAT
#define BITMAPS  QCOW2_EXTENSION_BITMAPS
#define LUKS     QCOW2_EXTENSION_LUKS
#define DATAFILE QCOW2_EXTENSION_DATA_FILE
#define NAMES    QCOW2_EXTENSION_FEATURE_NAMES

/* Parse from a buffer of exactly @count bytes, so that a sanitizer sees any read behind it. */
static inline int parse(const uint8_t *bytes, size_t count, struct qcow2_header *ret,
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

static inline void check_row(const uint8_t *bytes, const struct row *row)
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
