/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk that was detected as raw stays one, whatever is written, zeroed or cut off. */
#include "imgfmt.h"
#include "test.h"

#include <errno.h>

static struct imgfmt_image *open_disk(int fd, const char *format)
{
	const struct imgfmt_open_options options = { .path = "disk", .format = format };
	struct imgfmt_image *image;

	CHECK_EQUAL(imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, NULL), 0);
	return image;
}

/* A disk of 1 MiB that begins with @start. */
static int make_disk(const char *start)
{
	int fd = test_memory_file();

	CHECK(ftruncate(fd, 1 << 20) == 0);
	CHECK(pwrite(fd, start, strlen(start), 0) == (ssize_t)strlen(start));
	return fd;
}

static void test_magic_numbers(void)
{
	int fd = make_disk("");
	struct imgfmt_image *image = open_disk(fd, NULL);
	char sector[1024] = "QFI\xfb\0\0\0\3";
	char bytes[4];

	CHECK_EQUAL(imgfmt_write(image, sector, sizeof(sector), 0), -EPERM);
	CHECK_EQUAL(imgfmt_write(image, "KDMV", 4, 0), -EPERM);
	CHECK_EQUAL(imgfmt_read(image, bytes, 4, 0), 0);
	CHECK(test_all(bytes, 4, 0));
	/* Elsewhere, or something else, is nobody's business. */
	CHECK_EQUAL(imgfmt_write(image, sector, sizeof(sector), 512), 0);
	CHECK_EQUAL(imgfmt_write(image, "\xeb\x63\x90", 3, 0), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	close(fd);
}

/* The magic number in two pieces: the second one completes it. */
static void test_pieces(void)
{
	int fd = make_disk("");
	struct imgfmt_image *image = open_disk(fd, NULL);

	CHECK_EQUAL(imgfmt_write(image, "\xfb\0\0\0\3", 5, 3), 0);
	CHECK_EQUAL(imgfmt_write(image, "Q", 1, 0), 0);
	CHECK_EQUAL(imgfmt_write(image, "FI", 2, 1), -EPERM);
	CHECK_EQUAL(imgfmt_close(image), 0);
	close(fd);
}

/* "QED" and a zero byte is a format: zeroing and cutting off can make the zero byte. */
static void test_zeroes(void)
{
	int fd = make_disk("QEDx");
	struct imgfmt_image *image = open_disk(fd, NULL);

	CHECK_EQUAL(imgfmt_zero(image, 3, 100, IMGFMT_ZERO_DISCARD), -EPERM);
	CHECK_EQUAL(imgfmt_truncate(image, 3), -EPERM);
	CHECK_EQUAL(imgfmt_size(image), 1 << 20);
	CHECK_EQUAL(imgfmt_zero(image, 2, 100, IMGFMT_ZERO_DISCARD), 0);
	CHECK_EQUAL(imgfmt_truncate(image, 3), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	close(fd);
}

static void test_stated_format_lifts_it(void)
{
	int fd = make_disk("");
	struct imgfmt_image *image = open_disk(fd, "raw");

	CHECK_EQUAL(imgfmt_write(image, "QFI\xfb\0\0\0\3", 8, 0), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	close(fd);
}

int main(void)
{
	test_magic_numbers();
	test_pieces();
	test_zeroes();
	test_stated_format_lifts_it();
	return 0;
}
