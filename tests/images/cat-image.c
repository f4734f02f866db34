/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cat-image: the disk that an image holds, into a file.
 *
 *	cat-image [OPTION...] IMAGE OUTPUT	copy; holes stay holes
 *	cat-image [OPTION...] --write IMAGE	write a few sectors
 *
 * Options are --format=FORMAT, --snapshot=NAME and --passphrase=TEXT, which is no secret here.
 *
 * Ranges that cannot be read are named on standard output, "unreadable OFFSET LENGTH" in sectors,
 * and are zeroes in the output. With --write it says which sectors could not be written; what could
 * must be read back, also after opening the image anew.
 *
 * Exits with 0; with 3 and the reason on standard error where the image cannot be opened; with 4
 * where what was written is lost; and with 1 for other errors.
 */
#include "bytes.h"
#include "cleanup.h"
#include "gate.h"
#include "imgfmt.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#define SECTOR       512
#define PIECE        65536
#define WRITE_STEP   4096
#define WRITE_COUNT  8
#define EXIT_REFUSED 3
#define EXIT_LOST    4

/* Sectors that could not be read, joined. */
struct unreadable {
	uint64_t offset, length;
};

__attribute__((noreturn)) static void fail(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

static struct imgfmt_image *open_image(const char *path, struct imgfmt_open_options options,
				       bool read_only)
{
	struct gate gate = { .references = REFERENCES_ALL, .image = path };
	const struct imgfmt_gate opener = gate_make(&gate);
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	options.path = path;
	options.read_only = read_only;
	options.gate = &opener;
	if (fd < 0)
		fail(path, -errno);
	if (imgfmt_open(fd, &options, &image, &error) == 0)
		return image;
	fprintf(stderr, "%s\n", error.text);
	exit(EXIT_REFUSED);
}

static void report(struct unreadable *unreadable)
{
	if (unreadable->length)
		printf("unreadable %" PRIu64 " %" PRIu64 "\n", unreadable->offset,
		       unreadable->length);
	unreadable->length = 0;
}

static void add_unreadable(struct unreadable *unreadable, uint64_t offset, uint64_t length)
{
	if (unreadable->offset + unreadable->length != offset)
		report(unreadable);
	if (unreadable->length == 0)
		unreadable->offset = offset;
	unreadable->length += length;
}

static void write_output(int output, const uint8_t *buffer, size_t count, uint64_t offset)
{
	if (all_zero(buffer, count))
		return;
	if (pwrite(output, buffer, count, (off_t)offset) != (ssize_t)count)
		fail("output", -EIO);
}

/* Copy one piece, or, where that fails, those of its sectors that can be read. */
static void copy_piece(struct imgfmt_image *image, int output, uint64_t offset, size_t count,
		       struct unreadable *unreadable)
{
	uint8_t buffer[PIECE];

	if (imgfmt_read(image, buffer, count, offset) == 0) {
		write_output(output, buffer, count, offset);
		return;
	}
	for (size_t at = 0; at < count; at += SECTOR) {
		size_t length = count - at < SECTOR ? count - at : SECTOR;

		if (imgfmt_read(image, buffer, length, offset + at) == 0)
			write_output(output, buffer, length, offset + at);
		else
			add_unreadable(unreadable, offset + at, length);
	}
}

static void copy_image(struct imgfmt_image *image, int output)
{
	struct unreadable unreadable = { 0 };
	uint64_t size = imgfmt_size(image), length;

	for (uint64_t at = 0; at < size; at += length) {
		uint64_t left = size - at;
		bool data;

		if (imgfmt_status(image, at, left, &data, &length) < 0) {
			/* Nobody knows how far it goes on like that. */
			data = true;
			length = left < SECTOR ? left : SECTOR;
		}
		if (!data)
			continue;
		if (length > PIECE)
			length = PIECE;
		copy_piece(image, output, at, (size_t)length, &unreadable);
	}
	report(&unreadable);
	if (ftruncate(output, (off_t)size) < 0)
		fail("output", -errno);
}

static uint64_t write_offset(unsigned int attempt)
{
	return (uint64_t)attempt * WRITE_STEP;
}

/* Each attempt writes something else. */
static void fill(uint8_t *buffer, unsigned int attempt)
{
	memset(buffer, 'A' + (int)attempt, SECTOR);
}

/* Write a sector here and there. Returns for which attempts that worked, as bits. */
static unsigned int write_sectors(struct imgfmt_image *image)
{
	unsigned int written = 0;

	for (unsigned int i = 0; i < WRITE_COUNT; i++) {
		uint8_t buffer[SECTOR];
		int r;

		fill(buffer, i);
		r = imgfmt_write(image, buffer, sizeof(buffer), write_offset(i));
		if (r < 0)
			printf("not written at %" PRIu64 ": %s\n", write_offset(i), strerror(-r));
		else
			written |= 1u << i;
	}
	return written;
}

static void check_sectors(struct imgfmt_image *image, unsigned int written)
{
	for (unsigned int i = 0; i < WRITE_COUNT; i++) {
		uint8_t expected[SECTOR], buffer[SECTOR];

		if (!(written & (1u << i)))
			continue;
		fill(expected, i);
		if (imgfmt_read(image, buffer, sizeof(buffer), write_offset(i)) < 0 ||
		    memcmp(buffer, expected, sizeof(buffer)) != 0) {
			printf("lost what was written at %" PRIu64 "\n", write_offset(i));
			exit(EXIT_LOST);
		}
	}
}

static void try_writing(const char *path, const struct imgfmt_open_options *options)
{
	struct imgfmt_image *image = open_image(path, *options, false);
	unsigned int written = write_sectors(image);
	int r;

	check_sectors(image, written);
	r = imgfmt_close(image);
	if (r < 0) {
		printf("not closed: %s\n", strerror(-r));
		return;
	}
	image = open_image(path, *options, true);
	check_sectors(image, written);
	imgfmt_close(image);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "format", required_argument, NULL, 'f' },
		{ "snapshot", required_argument, NULL, 's' },
		{ "passphrase", required_argument, NULL, 'p' },
		{ "write", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	struct imgfmt_open_options options = { 0 };
	struct imgfmt_image *image;
	bool write = false;
	int option, output;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'f')
			options.format = optarg;
		else if (option == 's')
			options.snapshot = optarg;
		else if (option == 'p')
			options.passphrase = optarg;
		else if (option == 'w')
			write = true;
		else
			return 2;
	}
	if (argc - optind != (write ? 1 : 2))
		return 2;
	if (write) {
		try_writing(argv[optind], &options);
		return 0;
	}
	image = open_image(argv[optind], options, true);
	output = open(argv[optind + 1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (output < 0)
		fail(argv[optind + 1], -errno);
	copy_image(image, output);
	close(output);
	return imgfmt_close(image) < 0;
}
