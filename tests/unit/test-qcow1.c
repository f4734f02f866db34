/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QCOW version 1: images built by hand, whole and damaged. */
#include "test.h"

#include "bytes.h"
#include "imgfmt.h"

#include <errno.h>
#include <inttypes.h>
#include <zlib.h>

/* Where things lie in an image built by hand. */
#define L1_AT       0x200
#define NAME_AT     0x100
#define L2_AT       UINT64_C(0x10000)
#define CLUSTERS_AT UINT64_C(0x80000)
#define SLOT        UINT64_C(0x20000) /* of each cluster; more than the largest */

/* The first clusters of the disk; the rest is unallocated, but for two: see expected(). */
static const struct {
	char content;
	bool compressed;
	unsigned int slot; /* 0: unallocated */
} layout[] = {
	{ 'a', false, 1 }, { 'b', false, 2 }, { 'c', false, 4 }, { 'd', true, 5 },
	{ 'e', true, 6 },  { 0, false, 0 },   { 'g', true, 7 },  { 'h', false, 8 },
};

#define LAYOUT_LENGTH (sizeof(layout) / sizeof(*layout))

struct shape {
	unsigned int cluster_bits, l2_bits;
};

static size_t cluster_size(const struct shape *shape)
{
	return (size_t)1 << shape->cluster_bits;
}

/* Three L2 tables' worth of clusters, the middle table missing, the last one not full. */
static uint64_t disk_size(const struct shape *shape)
{
	return (UINT64_C(2) << (shape->l2_bits + shape->cluster_bits)) + 2 * cluster_size(shape) +
	       512;
}

static void put(int fd, const void *bytes, size_t count, uint64_t offset)
{
	CHECK(pwrite(fd, bytes, count, (off_t)offset) == (ssize_t)count);
}

static void put_number(int fd, uint64_t value, uint64_t offset)
{
	uint8_t bytes[8];

	put_be64(bytes, value);
	put(fd, bytes, 8, offset);
}

static uint64_t slot_at(unsigned int slot)
{
	return CLUSTERS_AT + slot * SLOT;
}

static uint64_t l2_at(unsigned int l1_index)
{
	return L2_AT + l1_index * SLOT;
}

/* Deflate @count bytes of @content; with Z_SYNC_FLUSH the stream does not end there. */
static size_t deflate_bytes(char content, size_t count, int flush, uint8_t *out)
{
	uint8_t in[65536];
	z_stream z = {
		.next_in = in, .avail_in = (uInt)count, .next_out = out, .avail_out = 65536
	};

	memset(in, content, count);
	CHECK(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(deflate(&z, flush) == (flush == Z_FINISH ? Z_STREAM_END : Z_OK));
	CHECK(z.avail_in == 0);
	deflateEnd(&z);
	return z.total_out;
}

/* The L2 entry of a compressed cluster. */
static uint64_t compressed_at(const struct shape *shape, uint64_t offset, size_t length)
{
	return UINT64_C(1) << 63 | (uint64_t)length << (63 - shape->cluster_bits) | offset;
}

/* Write @count bytes of @content, deflated, and return the L2 entry for them. */
static uint64_t put_deflated(int fd, const struct shape *shape, char content, size_t count,
			     uint64_t offset)
{
	uint8_t out[65536];
	size_t length = deflate_bytes(content, count, Z_FINISH, out);

	put(fd, out, length, offset);
	return compressed_at(shape, offset, length);
}

static void put_cluster(int fd, const struct shape *shape, unsigned int i)
{
	uint64_t offset = slot_at(layout[i].slot), entry = offset;
	uint8_t bytes[65536];

	/* Slots 1 and 2 follow on each other directly. */
	if (layout[i].slot == 2)
		entry = offset = slot_at(1) + cluster_size(shape);
	memset(bytes, layout[i].content, sizeof(bytes));
	if (layout[i].compressed)
		entry = put_deflated(fd, shape, layout[i].content, cluster_size(shape), offset + 3);
	else
		put(fd, bytes, cluster_size(shape), offset);
	put_number(fd, entry, l2_at(0) + i * 8);
}

static int make_image(const struct shape *shape, const char *backing)
{
	uint8_t header[48] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 1 };
	uint8_t last[65536];
	int fd = test_memory_file();

	if (backing) {
		put_be64(header + 8, NAME_AT);
		put_be32(header + 16, (uint32_t)strlen(backing));
		put(fd, backing, strlen(backing), NAME_AT);
	}
	put_be64(header + 24, disk_size(shape));
	header[32] = (uint8_t)shape->cluster_bits;
	header[33] = (uint8_t)shape->l2_bits;
	put_be64(header + 40, L1_AT);
	put(fd, header, sizeof(header), 0);
	put_number(fd, l2_at(0), L1_AT);
	put_number(fd, l2_at(2), L1_AT + 16);
	/* The last entry of the first L2 table; what lies behind would go on well, and is none. */
	put_number(fd, slot_at(8), l2_at(0) + (UINT64_C(8) << shape->l2_bits) - 8);
	put_number(fd, slot_at(8) + cluster_size(shape),
		   l2_at(0) + (UINT64_C(8) << shape->l2_bits));
	put(fd, "x", 1, slot_at(8) + cluster_size(shape));
	CHECK(ftruncate(fd, (off_t)slot_at(10)) == 0);
	for (unsigned int i = 0; i < LAYOUT_LENGTH; i++)
		if (layout[i].slot)
			put_cluster(fd, shape, i);
	memset(last, 'l', sizeof(last));
	put(fd, last, 512, slot_at(9));
	put_number(fd, slot_at(9), l2_at(2) + 2 * 8);
	return fd;
}

static int open_error(int fd, struct imgfmt_error *reterr, struct imgfmt_image **ret,
		      const struct imgfmt_gate *gate)
{
	const struct imgfmt_open_options options = {
		.path = "test.qcow",
		.read_only = true,
		.gate = gate,
	};

	return imgfmt_open(test_reopen(fd, O_RDONLY), &options, ret, reterr);
}

static struct imgfmt_image *open_image(int fd, const struct imgfmt_gate *gate)
{
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;

	if (open_error(fd, &error, &image, gate) < 0)
		test_failed(__FILE__, __LINE__, "open: %s", error.text);
	return image;
}

/* What the disk holds at @offset; @below is what backing images hold everywhere. */
static char expected(const struct shape *shape, uint64_t offset, char below)
{
	uint64_t cluster = offset >> shape->cluster_bits;

	if (offset >= disk_size(shape) - 512)
		return 'l';
	if (cluster == (UINT64_C(1) << shape->l2_bits) - 1)
		return 'h';
	if (cluster < LAYOUT_LENGTH && layout[cluster].slot)
		return layout[cluster].content;
	return below;
}

static void check_range(struct imgfmt_image *image, const struct shape *shape, uint64_t offset,
			size_t count, char below)
{
	char *bytes = malloc(count);

	CHECK(bytes);
	CHECK_EQUAL(imgfmt_read(image, bytes, count, offset), 0);
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != expected(shape, offset + i, below))
			test_failed(__FILE__, __LINE__,
				    "cluster_bits %u, l2_bits %u: byte 0x%" PRIx64 " is %d, not %d",
				    shape->cluster_bits, shape->l2_bits, offset + i, bytes[i],
				    expected(shape, offset + i, below));
	free(bytes);
}

static void check_reads(struct imgfmt_image *image, const struct shape *shape, char below)
{
	size_t size = cluster_size(shape);
	uint64_t table = (uint64_t)size << shape->l2_bits;

	CHECK(imgfmt_size(image) == disk_size(shape));
	check_range(image, shape, 0, size * 10, below);
	for (size_t i = 0; i < 10; i++) {
		check_range(image, shape, i * size + 1, 3, below);
		check_range(image, shape, (i + 1) * size - 2, 5, below);
	}
	check_range(image, shape, table - size - 5, 3 * size, below);
	check_range(image, shape, 2 * table - 5, 2 * size + 512 + 5, below);
}

static void check_status(struct imgfmt_image *image, uint64_t offset, bool data, uint64_t length)
{
	bool found_data;
	uint64_t found;

	CHECK_EQUAL(imgfmt_status(image, offset, imgfmt_size(image) - offset, &found_data, &found),
		    0);
	CHECK_EQUAL(found_data, data);
	CHECK_EQUAL(found, length);
}

static void test_good(const struct shape *shape)
{
	uint64_t table = (uint64_t)cluster_size(shape) << shape->l2_bits;
	int fd = make_image(shape, NULL);
	struct imgfmt_image *image = open_image(fd, NULL);
	struct imgfmt_info info;

	check_reads(image, shape, 0);
	imgfmt_get_info(image, &info);
	CHECK(strcmp(info.format, "qcow") == 0 && info.cluster_size == cluster_size(shape));
	CHECK(!info.backing_name);
	check_status(image, 3 * cluster_size(shape), true, 2 * cluster_size(shape));
	check_status(image, 5 * cluster_size(shape) + 1, false, cluster_size(shape) - 1);
	check_status(image, table, false, table);
	check_status(image, table + 7, false, table - 7);
	check_status(image, 2 * table + 2 * cluster_size(shape), true, 512);
	imgfmt_close(image);
	close(fd);
}

static void test_shapes(void)
{
	for (unsigned int cluster_bits = 9; cluster_bits <= 16; cluster_bits++)
		for (unsigned int l2_bits = 6; l2_bits <= 13; l2_bits++)
			test_good(&(struct shape){ cluster_bits, l2_bits });
}

static const struct shape usual = { 12, 9 };

static int gate_open(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
		     char **ret_path, struct imgfmt_error *reterr)
{
	if (strcmp(reference->name, "below") != 0 || reference->format)
		return imgfmt_error_set(reterr, -EACCES, "not that one");
	*ret_fd = test_reopen(*(int *)userdata, O_RDONLY);
	*ret_path = strdup("below");
	return 0;
}

static void test_backing(void)
{
	size_t count = disk_size(&usual);
	int below = test_memory_file(), fd = make_image(&usual, "below");
	const struct imgfmt_gate gate = { gate_open, &below };
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;
	char *bytes = malloc(count);

	CHECK(bytes);
	memset(bytes, 'z', count);
	put(below, bytes, count, 0);
	free(bytes);
	image = open_image(fd, &gate);
	check_reads(image, &usual, 'z');
	imgfmt_close(image);
	CHECK_EQUAL(open_error(fd, &error, &image, NULL), -EACCES);
	close(fd);
	close(below);
}

static void test_read_only(void)
{
	const struct imgfmt_open_options options = { .path = "test.qcow" };
	int fd = make_image(&usual, NULL);
	struct imgfmt_image *image;
	struct imgfmt_error error = { "" };

	CHECK_EQUAL(imgfmt_open(fd, &options, &image, &error), -EROFS);
	CHECK(strstr(error.text, "qcow"));
}

/* There is no passphrase here; and without libqcow none would help. */
static void test_encrypted(void)
{
#ifdef HAVE_LIBQCOW
	const int refusal = -EACCES;
#else
	const int refusal = -ENOTSUP;
#endif
	int fd = make_image(&usual, NULL);
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;

	put(fd, "\1", 1, 39);
	CHECK_EQUAL(open_error(fd, &error, &image, NULL), refusal);
	CHECK(strstr(error.text, "encrypted with AES"));
	close(fd);
}

/* Header fields that are refused, and how, in an image with a backing file. */
static const struct {
	uint64_t offset, value;
	unsigned int bytes;
	int r;
	const char *words;
} bad_headers[] = {
	{ 32, 8, 1, -EINVAL, "cluster_bits is 8" },
	{ 32, 17, 1, -EINVAL, "cluster_bits is 17" },
	{ 33, 5, 1, -EINVAL, "l2_bits is 5" },
	{ 33, 14, 1, -EINVAL, "l2_bits is 14" },
	{ 39, 2, 1, -EINVAL, "encryption method 2" },
	{ 24, 1, 8, -EINVAL, "disk of 1 bytes" },
	{ 24, UINT64_MAX, 8, -EINVAL, "disk of 18446744073709551615 bytes" },
	{ 24, INT64_MAX, 8, -EINVAL, "L1 table" },
	{ 40, UINT64_MAX - 7, 8, -EINVAL, "L1 table" },
	{ 40, CLUSTERS_AT + 10 * SLOT - 23, 8, -EINVAL, "L1 table" },
	{ 16, 1024, 4, -EINVAL, "backing file name of 1024 bytes" },
	{ 8, CLUSTERS_AT + 10 * SLOT - 4, 8, -EINVAL, "backing file name at offset" },
	{ NAME_AT + 2, 0, 1, -EINVAL, "NUL" },
};

static void test_bad_headers(void)
{
	for (size_t i = 0; i < sizeof(bad_headers) / sizeof(*bad_headers); i++) {
		int fd = make_image(&usual, "below"), r;
		struct imgfmt_error error = { "" };
		struct imgfmt_image *image;
		uint8_t bytes[8];

		put_be64(bytes, bad_headers[i].value << (64 - 8 * bad_headers[i].bytes));
		put(fd, bytes, bad_headers[i].bytes, bad_headers[i].offset);
		r = open_error(fd, &error, &image, NULL);
		if (r != bad_headers[i].r || !strstr(error.text, bad_headers[i].words))
			test_failed(__FILE__, __LINE__, "header %zu: %d '%s' in place of %d '%s'",
				    i, r, error.text, bad_headers[i].r, bad_headers[i].words);
		close(fd);
	}
}

/* A damaged cluster is an error, and no other cluster is. */
static void check_damaged(int fd, unsigned int cluster)
{
	struct imgfmt_image *image = open_image(fd, NULL);
	char bytes[4096];

	for (unsigned int i = 0; i < LAYOUT_LENGTH; i++) {
		if (i == cluster)
			CHECK_EQUAL(imgfmt_read(image, bytes, 4096, i * 4096), -EUCLEAN);
		else
			check_range(image, &usual, i * 4096, 4096, 0);
	}
	imgfmt_close(image);
	close(fd);
}

static void test_damage(void)
{
	uint64_t end = slot_at(10);
	uint8_t stream[65536];
	size_t length;
	char byte;
	int fd;

	/* Plain clusters: beyond the end, over it, unaligned. */
	for (unsigned int i = 0; i < 3; i++) {
		fd = make_image(&usual, NULL);
		put_number(fd, (uint64_t[]){ end, end - 2048, end - 4097 }[i], l2_at(0) + 2 * 8);
		check_damaged(fd, 2);
	}
	/* Compressed ones: too little data, nonsense, nonsense behind the data, over the end. */
	fd = make_image(&usual, NULL);
	put_number(fd, put_deflated(fd, &usual, 'd', 4095, slot_at(5)), l2_at(0) + 3 * 8);
	check_damaged(fd, 3);
	fd = make_image(&usual, NULL);
	put(fd, "\xff", 1, slot_at(5) + 3);
	check_damaged(fd, 3);
	fd = make_image(&usual, NULL);
	length = deflate_bytes('d', 4096, Z_SYNC_FLUSH, stream);
	stream[length++] = 0x07; /* a last block of a type that does not exist */
	put(fd, stream, length, slot_at(5));
	put_number(fd, compressed_at(&usual, slot_at(5), length), l2_at(0) + 3 * 8);
	check_damaged(fd, 3);
	fd = make_image(&usual, NULL);
	length = deflate_bytes('d', 4096, Z_FINISH, stream);
	put(fd, stream, length, end - length);
	put_number(fd, compressed_at(&usual, end - length, length + 1), l2_at(0) + 3 * 8);
	check_damaged(fd, 3);
	/* An L2 table that goes beyond the end. */
	fd = make_image(&usual, NULL);
	put_number(fd, end - 4088, L1_AT);
	{
		struct imgfmt_image *image = open_image(fd, NULL);

		CHECK_EQUAL(imgfmt_read(image, &byte, 1, 0), -EUCLEAN);
		CHECK_EQUAL(imgfmt_read(image, &byte, 1, imgfmt_size(image) - 1), 0);
		imgfmt_close(image);
	}
	close(fd);
}

int main(void)
{
	test_shapes();
	test_backing();
	test_read_only();
	test_encrypted();
	test_bad_headers();
	test_damage();
	return 0;
}
