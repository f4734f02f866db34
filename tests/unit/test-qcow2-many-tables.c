/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first write to an image with as many tables as the format allows, in an order and at
 * distances that make the most of them: in bounded memory.
 */
#include "small-qcow2.h"

#include <errno.h>
#include <sys/resource.h>

#define SMALL   512u
#define ENTRIES ((unsigned int)(QCOW2_MAX_L1_BYTES / 8))

/* The L1 table lies behind what the only refcount block describes, and the L2 tables behind it. */
#define L1_OFFSET (256 * (uint64_t)SMALL)
#define L2_OFFSET (L1_OFFSET + QCOW2_MAX_L1_BYTES)

/* What an image may take at most, in KiB. */
#define MOST_RESIDENT (64L << 10)

/* Sanitizers have memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool counts = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
static const bool counts = false;
#else
static const bool counts = true;
#endif
#else
static const bool counts = true;
#endif

static void put_small_header(int fd)
{
	uint8_t header[SMALL] = { 0 };

	make_header(header);
	put_be32(header + QCOW2_AT_CLUSTER_BITS, 9);
	put_be64(header + QCOW2_AT_SIZE, ENTRIES * (uint64_t)SMALL * (SMALL / 8));
	put_be32(header + QCOW2_AT_L1_SIZE, ENTRIES);
	put_be64(header + QCOW2_AT_L1_OFFSET, L1_OFFSET);
	put_be64(header + QCOW2_AT_REFTABLE_OFFSET, SMALL);
	CHECK(pwrite(fd, header, SMALL, 0) == SMALL);
	poke64(fd, SMALL, 2 * SMALL);
	poke64(fd, 2 * SMALL, UINT64_C(0x0001000100010000));
}

/* Every second cluster is an L2 table, and each table far from the one before. */
static void put_l1(int fd)
{
	enum { CHUNK = 8192 };
	static uint8_t chunk[CHUNK * 8];

	for (unsigned int i = 0; i < ENTRIES; i += CHUNK) {
		for (unsigned int j = 0; j < CHUNK; j++) {
			uint64_t place = (i + j) * UINT64_C(2654435761) % ENTRIES;

			put_be64(chunk + j * 8,
				 (L2_OFFSET + 2 * place * SMALL) | QCOW2_FLAG_COPIED);
		}
		CHECK(pwrite(fd, chunk, sizeof(chunk), (off_t)(L1_OFFSET + i * 8)) ==
		      sizeof(chunk));
	}
}

static struct imgfmt_image *open_image(int fd)
{
	const struct imgfmt_open_options options = { .path = "many", .format = "qcow2" };
	struct imgfmt_image *image;

	CHECK_EQUAL(imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, NULL), 0);
	return image;
}

static void write_and_read(struct imgfmt_image *image)
{
	uint8_t bytes[SMALL], again[SMALL];

	memset(bytes, 0x5a, sizeof(bytes));
	CHECK_EQUAL(imgfmt_write(image, bytes, sizeof(bytes), 7 * SMALL), 0);
	CHECK_EQUAL(imgfmt_read(image, again, sizeof(again), 7 * SMALL), 0);
	CHECK(memcmp(bytes, again, sizeof(bytes)) == 0);
}

int main(void)
{
	int fd = test_memory_file();
	struct imgfmt_image *image;
	struct rusage usage;
	uint8_t byte = 1;

	put_small_header(fd);
	put_l1(fd);
	image = open_image(fd);
	write_and_read(image);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	printf("%ld KiB\n", usage.ru_maxrss);
	CHECK(!counts || usage.ru_maxrss <= MOST_RESIDENT);

	/* Two that lead to one table are found among millions. */
	poke64(fd, L1_OFFSET + 12345 * 8, peek64(fd, L1_OFFSET + (ENTRIES - 1) * 8));
	image = open_image(fd);
	CHECK_EQUAL(imgfmt_write(image, &byte, 1, 0), -EUCLEAN);
	CHECK_EQUAL(imgfmt_close(image), 0);
	return 0;
}
