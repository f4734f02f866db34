/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Raw images, opened and used as users of the library do: the file is the disk, to the byte. */
#include "test.h"

#include "imgfmt.h"

#include <errno.h>
#include <sys/stat.h>

#define SIZE 1000003 /* not a multiple of anything */

static struct imgfmt_image *open_image(int fd, const char *format, bool read_only)
{
	const struct imgfmt_open_options options = {
		.path = "disk",
		.format = format,
		.read_only = read_only,
	};
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;
	int r;

	r = imgfmt_open(test_reopen(fd, read_only ? O_RDONLY : O_RDWR), &options, &image, &error);
	if (r < 0)
		test_failed(__FILE__, __LINE__, "open: %d %s", r, error.text);
	return image;
}

static void fill(int fd, size_t size, unsigned char value)
{
	char *bytes = malloc(size);

	CHECK(bytes);
	memset(bytes, value, size);
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(pwrite(fd, bytes, size, 0) == (ssize_t)size);
	free(bytes);
}

static bool holds(int fd, size_t offset, size_t end, unsigned char value)
{
	char *bytes = malloc(end - offset + 1);
	bool all;

	CHECK(bytes);
	CHECK(pread(fd, bytes, end - offset, (off_t)offset) == (ssize_t)(end - offset));
	all = test_all(bytes, end - offset, value);
	free(bytes);
	return all;
}

static off_t file_size(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_size;
}

static blkcnt_t file_blocks(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_blocks;
}

static void test_read_write(int fd)
{
	struct imgfmt_image *image;
	char bytes[16];

	fill(fd, SIZE, 7);
	image = open_image(fd, NULL, false);
	CHECK_EQUAL(imgfmt_size(image), SIZE);
	CHECK_EQUAL(imgfmt_read(image, bytes, 16, SIZE - 16), 0);
	CHECK(test_all(bytes, 16, 7));
	CHECK_EQUAL(imgfmt_read(image, bytes, 16, SIZE - 15), -EINVAL);
	CHECK_EQUAL(imgfmt_write(image, "abc", 3, 511), 0);
	CHECK_EQUAL(imgfmt_write(image, "xyz", 3, SIZE - 3), 0);
	CHECK_EQUAL(imgfmt_write(image, "xyz", 3, SIZE - 2), -EINVAL);
	CHECK_EQUAL(imgfmt_read(image, bytes, 5, 510), 0);
	CHECK(memcmp(bytes, "\7abc\7", 5) == 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK_EQUAL(file_size(fd), SIZE);
	CHECK(holds(fd, 0, 511, 7) && holds(fd, 514, SIZE - 3, 7));
	CHECK(pread(fd, bytes, 16, SIZE - 3) == 3 && memcmp(bytes, "xyz", 3) == 0);
}

static void test_zero(int fd, enum imgfmt_zero_mode mode)
{
	struct imgfmt_image *image;
	blkcnt_t blocks;

	fill(fd, SIZE, 7);
	CHECK(fsync(fd) == 0);
	blocks = file_blocks(fd);
	image = open_image(fd, "raw", false);
	CHECK_EQUAL(imgfmt_zero(image, 5, 600000, mode), 0);
	CHECK_EQUAL(imgfmt_zero(image, SIZE - 10, 10, mode), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK_EQUAL(file_size(fd), SIZE);
	CHECK(holds(fd, 0, 5, 7) && holds(fd, 5, 600005, 0));
	CHECK(holds(fd, 600005, SIZE - 10, 7) && holds(fd, SIZE - 10, SIZE, 0));
	if (mode == IMGFMT_ZERO_DISCARD)
		CHECK(file_blocks(fd) <= blocks - 500000 / 512);
	else
		CHECK(file_blocks(fd) >= blocks);
}

static void test_truncate(int fd)
{
	struct imgfmt_image *image;

	fill(fd, 5000, 7);
	image = open_image(fd, NULL, false);
	CHECK_EQUAL(imgfmt_truncate(image, 10001), 0);
	CHECK_EQUAL(imgfmt_size(image), 10001);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 10000), 0);
	CHECK_EQUAL(imgfmt_truncate(image, 3), 0);
	CHECK_EQUAL(imgfmt_size(image), 3);
	CHECK_EQUAL(imgfmt_truncate(image, 9000), 0);
	CHECK_EQUAL(imgfmt_truncate(image, UINT64_MAX), -EFBIG);
	CHECK_EQUAL(imgfmt_size(image), 9000);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK_EQUAL(file_size(fd), 9000);
	CHECK(holds(fd, 0, 3, 7) && holds(fd, 3, 9000, 0));
}

static void test_status(void)
{
	int fd = test_memory_file();
	struct imgfmt_image *image;
	uint64_t length;
	bool data;

	CHECK(ftruncate(fd, SIZE) == 0 && pwrite(fd, "x", 1, 8192) == 1);
	image = open_image(fd, NULL, false);
	CHECK_EQUAL(imgfmt_status(image, 0, SIZE, &data, &length), 0);
	CHECK(!data && length == 8192);
	CHECK_EQUAL(imgfmt_status(image, 8192, SIZE - 8192, &data, &length), 0);
	CHECK(data && length == 4096);
	CHECK_EQUAL(imgfmt_status(image, 12288, SIZE - 12288, &data, &length), 0);
	CHECK(!data && length == SIZE - 12288);
	CHECK_EQUAL(imgfmt_close(image), 0);
	close(fd);
}

static void test_read_only(int fd)
{
	struct imgfmt_image *image;
	char byte;

	fill(fd, 100, 7);
	image = open_image(fd, NULL, true);
	CHECK(imgfmt_is_read_only(image));
	CHECK_EQUAL(imgfmt_read(image, &byte, 1, 99), 0);
	CHECK_EQUAL(byte, 7);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 0), -EROFS);
	CHECK_EQUAL(imgfmt_zero(image, 0, 1, IMGFMT_ZERO_DISCARD), -EROFS);
	CHECK_EQUAL(imgfmt_truncate(image, 50), -EROFS);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(holds(fd, 0, 100, 7));
}

static void test_empty(int fd)
{
	struct imgfmt_image *image;

	CHECK(ftruncate(fd, 0) == 0);
	image = open_image(fd, NULL, false);
	CHECK_EQUAL(imgfmt_size(image), 0);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 0), -EINVAL);
	CHECK_EQUAL(imgfmt_truncate(image, 1), 0);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 0), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(holds(fd, 0, 1, 'x'));
}

/* A disk that was only guessed to be raw must not become an image; one that is said to be may. */
static void test_guard(int fd)
{
	struct imgfmt_image *image;
	char byte;

	fill(fd, 4096, 0);
	image = open_image(fd, NULL, false);
	CHECK_EQUAL(imgfmt_write(image, "QFI\xfb\0\0\0\3", 8, 0), -EPERM);
	CHECK_EQUAL(imgfmt_write(image, "QFI", 3, 0), 0);
	CHECK_EQUAL(imgfmt_write(image, "\xfb", 1, 3), -EPERM);
	CHECK_EQUAL(imgfmt_write(image, "\x7f\x10\xda\xbe", 4, 0x40), -EPERM);
	CHECK_EQUAL(imgfmt_write(image, "QFI\xfb\0\0\0\3", 8, 512), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(holds(fd, 3, 512, 0));

	image = open_image(fd, "raw", false);
	CHECK_EQUAL(imgfmt_write(image, "\xfb", 1, 3), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(pread(fd, &byte, 1, 3) == 1 && byte == '\xfb');
}

/* What may mean writing gigabytes is done in pieces, of which none is partly in a cluster. */
static void test_zero_in_pieces(int fd)
{
	const uint64_t size = UINT64_C(1) << 40;
	struct imgfmt_image *image;
	uint64_t done;

	CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)size) == 0);
	image = open_image(fd, NULL, false);
	for (uint64_t at = 12345; at < size; at += size / 8) {
		CHECK_EQUAL(imgfmt_write(image, "x", 1, at), 0);
		CHECK_EQUAL(imgfmt_zero_some(image, at, size - at, IMGFMT_ZERO_DISCARD, &done), 0);
		CHECK(done > 0 && done <= UINT64_C(1) << 28);
		CHECK_EQUAL((at + done) % (2 << 20), 0);
	}
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(ftruncate(fd, 0) == 0);
}

int main(void)
{
	int fd = test_disk_file();

	test_read_write(fd);
	test_zero(fd, IMGFMT_ZERO_DISCARD);
	test_zero(fd, IMGFMT_ZERO_KEEP);
	test_truncate(fd);
	test_status();
	test_read_only(fd);
	test_empty(fd);
	test_guard(fd);
	test_zero_in_pieces(fd);
	return 0;
}
