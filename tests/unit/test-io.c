/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core over a driver that lives in memory: what it asks of a driver, and what it makes of the
 * answers. The driver maps guest granules to host granules through an array, and counts its calls.
 */
#include "image.h"

#include "align.h"
#include "test.h"

#include <errno.h>

#define GRANULE  4096u
#define GRANULES 16u
#define SIZE     (GRANULE * GRANULES - 1000) /* the last granule goes beyond the end */

struct fake {
	uint8_t kind[GRANULES]; /* enum driver_extent_kind */
	uint8_t host[GRANULES]; /* host granule of DATA */
	uint8_t next;           /* host granule to hand out */
	bool fresh;             /* say so of new space */
	int fail_end;           /* what write_end is to return */
	bool zero_works;
	unsigned int begins, ends, zeroes;
	unsigned int encoded_again; /* how often read_encoded is to say -EAGAIN */
	uint64_t work;              /* what map says that an answer has taken */
};

struct driver_allocation {
	uint64_t granule;
	uint8_t host;
};

static struct driver_allocation in_flight;

static struct fake *fake_of(struct imgfmt_image *image)
{
	return image->state;
}

static int fake_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		    struct driver_extent *ret)
{
	struct fake *fake = fake_of(image);
	uint64_t granule = guest_offset / GRANULE, into = guest_offset % GRANULE;

	ret->kind = (enum driver_extent_kind)fake->kind[granule];
	ret->work = fake->work;
	ret->length = min_u64(length, GRANULE - into);
	ret->file = image->file;
	ret->host_offset = (uint64_t)fake->host[granule] * GRANULE + into;
	return 0;
}

static int fake_read_encoded(struct imgfmt_image *image, void *buffer, size_t count,
			     uint64_t guest_offset)
{
	struct fake *fake = fake_of(image);

	if (fake->encoded_again > 0) {
		fake->encoded_again--;
		return -EAGAIN;
	}
	memset(buffer, (int)(0xe0 + guest_offset / GRANULE), count);
	return 0;
}

static int fake_write_begin(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
			    struct driver_write *ret)
{
	struct fake *fake = fake_of(image);
	uint64_t granule = guest_offset / GRANULE, into = guest_offset % GRANULE;

	fake->begins++;
	ret->guest_offset = guest_offset;
	ret->length = min_u64(length, GRANULE - into);
	ret->file = image->file;
	if (fake->kind[granule] == DRIVER_DATA) {
		ret->host_offset = (uint64_t)fake->host[granule] * GRANULE + into;
		return 0;
	}
	in_flight = (struct driver_allocation){ granule, fake->next++ };
	ret->allocation = &in_flight;
	ret->host_offset = (uint64_t)in_flight.host * GRANULE + into;
	ret->head = into;
	ret->tail = GRANULE - into - ret->length;
	ret->fresh = fake->fresh;
	return 0;
}

static int fake_write_end(struct imgfmt_image *image, struct driver_write *write, int result)
{
	struct fake *fake = fake_of(image);

	fake->ends++;
	if (result == 0)
		result = fake->fail_end;
	if (result == 0) {
		fake->kind[write->allocation->granule] = DRIVER_DATA;
		fake->host[write->allocation->granule] = write->allocation->host;
	}
	return result;
}

static int fake_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		     enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	struct fake *fake = fake_of(image);

	(void)mode;
	fake->zeroes++;
	CHECK(guest_offset % GRANULE == 0);
	*ret_length = fake->zero_works ? min_u64(length, GRANULE) : 0;
	if (fake->zero_works)
		fake->kind[guest_offset / GRANULE] = DRIVER_ZERO;
	return 0;
}

static int fake_truncate(struct imgfmt_image *image, uint64_t size)
{
	image->size = size;
	return 0;
}

static const struct imgfmt_driver fake_driver = {
	.name = "fake",
	.description = "in memory",
	.map = fake_map,
	.read_encoded = fake_read_encoded,
	.write_begin = fake_write_begin,
	.write_end = fake_write_end,
	.zero = fake_zero,
	.truncate = fake_truncate,
};

/* ---- a top image over a backing image of half its size ---- */

struct setup {
	struct fake top_state, base_state;
	struct imgfmt_image top, base;
};

static void init_image(struct imgfmt_image *image, struct fake *fake, uint64_t size)
{
	memset(fake, 0, sizeof(*fake));
	memset(image, 0, sizeof(*image));
	memset(fake->kind, DRIVER_UNALLOCATED, sizeof(fake->kind));
	image->driver = &fake_driver;
	image->state = fake;
	image->size = size;
	image->granule = image->unit = GRANULE;
	pthread_rwlock_init(&image->use, NULL);
	pthread_mutex_init(&image->head, NULL);
	grace_init(&image->grace);
	CHECK(hostfile_create(test_memory_file(), true, &image->file) == 0);
}

static void start(struct setup *s, bool backed)
{
	init_image(&s->top, &s->top_state, SIZE);
	init_image(&s->base, &s->base_state, GRANULE * 8 + 512);
	s->base.read_only = true;
	if (backed)
		s->top.backing = &s->base;
}

static void finish(struct setup *s)
{
	hostfile_destroy(s->top.file);
	hostfile_destroy(s->base.file);
}

/* Put a granule full of @value at host granule @host, and map a guest granule there. */
static void put(struct imgfmt_image *image, unsigned int guest, uint8_t host, uint8_t value)
{
	struct fake *fake = fake_of(image);
	uint8_t bytes[GRANULE];

	memset(bytes, value, sizeof(bytes));
	CHECK(hostfile_write(image->file, bytes, sizeof(bytes), (uint64_t)host * GRANULE) == 0);
	fake->kind[guest] = DRIVER_DATA;
	fake->host[guest] = host;
}

static void check_read(struct setup *s, uint64_t offset, size_t count, uint8_t value)
{
	static uint8_t bytes[GRANULE * GRANULES];

	CHECK(imgfmt_read(&s->top, bytes, count, offset) == 0);
	CHECK(test_all(bytes, count, value));
}

static void write_bytes(struct setup *s, uint64_t offset, size_t count, uint8_t value)
{
	static uint8_t bytes[GRANULE * GRANULES];

	memset(bytes, value, count);
	CHECK(imgfmt_write(&s->top, bytes, count, offset) == 0);
}

static void test_read_through_chain(void)
{
	struct setup s;

	start(&s, true);
	put(&s.base, 0, 5, 0xb0);
	put(&s.base, 1, 6, 0xb1);
	put(&s.base, 8, 7, 0xb8);
	put(&s.top, 1, 3, 0x71);
	s.top_state.kind[2] = DRIVER_ZERO;
	put(&s.base, 2, 8, 0xb2);
	s.top_state.kind[3] = DRIVER_ENCODED;
	s.top_state.encoded_again = 3;
	check_read(&s, 0, GRANULE, 0xb0);
	check_read(&s, GRANULE, GRANULE, 0x71);
	check_read(&s, 2 * GRANULE, GRANULE, 0);
	check_read(&s, 3 * GRANULE, GRANULE, 0xe3);
	CHECK(s.top_state.encoded_again == 0);
	/* The backing image ends 512 bytes into granule 8: zeroes from there on. */
	check_read(&s, 8 * GRANULE, 512, 0xb8);
	check_read(&s, 8 * GRANULE + 512, 2 * GRANULE, 0);
	CHECK(imgfmt_read(&s.top, NULL, 1, SIZE) == -EINVAL);
	CHECK(imgfmt_read(&s.top, NULL, 0, SIZE) == 0);
	CHECK(imgfmt_read(&s.top, NULL, 1, UINT64_MAX) == -EINVAL);
	finish(&s);
}

static void test_copy_on_write(void)
{
	struct setup s;

	start(&s, true);
	put(&s.base, 0, 5, 0xb0);
	s.top_state.next = 2;
	/* The new space holds something: it must not be seen. */
	put(&s.top, 15, 2, 0xff);
	s.top_state.kind[15] = DRIVER_UNALLOCATED;
	write_bytes(&s, 100, 200, 0x77);
	check_read(&s, 0, 100, 0xb0);
	check_read(&s, 100, 200, 0x77);
	check_read(&s, 300, GRANULE - 300, 0xb0);
	CHECK(s.top_state.begins == 1 && s.top_state.ends == 1);
	write_bytes(&s, 50, 10, 0x78);
	CHECK(s.top_state.begins == 2 && s.top_state.ends == 1);
	check_read(&s, 60, 40, 0xb0);
	finish(&s);
}

/* Where both the guest and the new space have zeroes, nothing but the data is written. */
static void test_fresh_space_is_left_alone(void)
{
	uint64_t size;
	struct setup s;

	start(&s, false);
	s.top_state.fresh = true;
	write_bytes(&s, 100, 200, 0x77);
	CHECK(hostfile_size(s.top.file, &size) == 0);
	CHECK_EQUAL(size, 300);
	check_read(&s, 0, 100, 0);
	check_read(&s, 300, GRANULE - 300, 0);
	finish(&s);
}

/* The granule that goes beyond the end of the disk is filled up with zeroes. */
static void test_last_granule(void)
{
	uint8_t bytes[GRANULE];
	struct setup s;

	start(&s, false);
	put(&s.top, 0, 0, 0xff);
	s.top_state.kind[0] = DRIVER_UNALLOCATED;
	write_bytes(&s, SIZE - 100, 100, 0x77);
	CHECK(imgfmt_write(&s.top, "x", 1, SIZE) == -EINVAL);
	CHECK(hostfile_read(s.top.file, bytes, GRANULE, 0) == 0);
	CHECK(test_all(bytes + GRANULE - 1000, 1000, 0));
	CHECK(test_all(bytes + GRANULE - 1100, 100, 0x77));
	CHECK(test_all(bytes, GRANULE - 1100, 0));
	finish(&s);
}

static void test_failing_link(void)
{
	struct setup s;

	start(&s, false);
	s.top_state.fail_end = -ENOSPC;
	CHECK(imgfmt_write(&s.top, "x", 1, 0) == -ENOSPC);
	CHECK(s.top_state.ends == 1);
	check_read(&s, 0, 1, 0);
	s.top_state.fail_end = 0;
	CHECK(imgfmt_write(&s.top, "x", 1, 0) == 0);
	check_read(&s, 0, 1, 'x');
	finish(&s);
}

/* Write over everything, then zero a range that begins and ends inside granules. */
static void zero_all_ways(bool zero_works, enum imgfmt_zero_mode mode, bool backed)
{
	struct setup s;

	start(&s, backed);
	put(&s.base, 4, 5, 0xb4);
	s.top_state.zero_works = zero_works;
	write_bytes(&s, 0, SIZE, 0x77);
	s.top_state.kind[4] = DRIVER_UNALLOCATED;
	CHECK(imgfmt_zero(&s.top, 1000, 5 * GRANULE, mode) == 0);
	check_read(&s, 0, 1000, 0x77);
	check_read(&s, 1000, 5 * GRANULE, 0);
	check_read(&s, 1000 + 5 * GRANULE, 1000, 0x77);
	CHECK(imgfmt_zero(&s.top, SIZE - 5000, 5000, mode) == 0);
	check_read(&s, SIZE - 5000, 5000, 0);
	check_read(&s, SIZE - 5001, 1, 0x77);
	CHECK(imgfmt_zero(&s.top, SIZE - 1, 2, mode) == -EINVAL);
	finish(&s);
}

static void test_zero_skips_zeroes(void)
{
	struct setup s;

	start(&s, false);
	CHECK(imgfmt_zero(&s.top, 0, SIZE, IMGFMT_ZERO_DISCARD) == 0);
	CHECK(s.top_state.zeroes == 0 && s.top_state.begins == 0);
	finish(&s);
}

static void test_status(void)
{
	uint64_t length;
	struct setup s;
	bool data;

	start(&s, true);
	put(&s.base, 0, 0, 0xb0);
	s.top_state.kind[1] = DRIVER_ZERO;
	s.top_state.kind[2] = DRIVER_ENCODED;
	CHECK(imgfmt_status(&s.top, 10, GRANULE, &data, &length) == 0);
	CHECK(data && length == GRANULE - 10);
	CHECK(imgfmt_status(&s.top, GRANULE, GRANULE, &data, &length) == 0);
	CHECK(!data && length == GRANULE);
	CHECK(imgfmt_status(&s.top, 2 * GRANULE, 10, &data, &length) == 0);
	CHECK(data && length == 10);
	CHECK(imgfmt_status(&s.top, 0, 0, &data, &length) == -EINVAL);
	CHECK(imgfmt_status(&s.top, SIZE, 1, &data, &length) == -EINVAL);
	finish(&s);
}

static void check_seek(struct setup *s, uint64_t offset, enum imgfmt_wanted wanted,
		       uint64_t expected)
{
	uint64_t found;

	CHECK_EQUAL(imgfmt_seek(&s->top, offset, wanted, &found), 0);
	CHECK_EQUAL(found, expected);
}

static void test_seek(void)
{
	uint64_t found = 77;
	struct setup s;

	start(&s, true);
	put(&s.base, 3, 0, 0xb3);
	put(&s.top, 4, 9, 0x74);
	put(&s.top, 5, 1, 0x75);
	s.top_state.kind[6] = DRIVER_ENCODED;
	s.top_state.kind[7] = DRIVER_ZERO;
	check_seek(&s, 10, IMGFMT_DATA, 3 * GRANULE);
	check_seek(&s, 10, IMGFMT_HOLE, 10);
	check_seek(&s, 3 * GRANULE + 10, IMGFMT_DATA, 3 * GRANULE + 10);
	check_seek(&s, 3 * GRANULE + 10, IMGFMT_HOLE, 7 * GRANULE);
	CHECK_EQUAL(imgfmt_seek(&s.top, 7 * GRANULE, IMGFMT_DATA, &found), -ENXIO);
	CHECK_EQUAL(imgfmt_seek(&s.top, SIZE, IMGFMT_DATA, &found), -ENXIO);
	CHECK_EQUAL(imgfmt_seek(&s.top, SIZE, IMGFMT_HOLE, &found), -ENXIO);
	CHECK_EQUAL(found, 77);
	put(&s.top, 15, 2, 0x7f);
	check_seek(&s, SIZE - 1, IMGFMT_HOLE, SIZE);
	/* Clusters in one piece of the host's data, out of order, and a hole in its midst. */
	put(&s.top, 0, 4, 0x70);
	put(&s.top, 1, 3, 0x71);
	put(&s.top, 2, 2, 0x72);
	CHECK_EQUAL(hostfile_zero(s.top.file, 2 * GRANULE, GRANULE, true), 0);
	check_seek(&s, 0, IMGFMT_HOLE, 2 * GRANULE);
	finish(&s);
}

/* What takes too long to find out is said to be data; and each call comes a step further. */
static void test_seek_is_bounded(void)
{
	struct setup s;

	start(&s, false);
	put(&s.top, 14, 0, 0x7e);
	check_seek(&s, 0, IMGFMT_DATA, 14 * GRANULE);
	s.top_state.work = UINT64_C(1) << 32;
	check_seek(&s, 0, IMGFMT_DATA, GRANULE);
	check_seek(&s, GRANULE + 1, IMGFMT_DATA, 2 * GRANULE);
	check_seek(&s, 14 * GRANULE, IMGFMT_DATA, 14 * GRANULE);
	check_seek(&s, 0, IMGFMT_HOLE, 0);
	for (uint8_t i = 0; i < 8; i++)
		put(&s.top, i, 7 - i, 0x70);
	check_seek(&s, 0, IMGFMT_HOLE, SIZE);
	s.top_state.work = 0;
	check_seek(&s, 0, IMGFMT_HOLE, 8 * GRANULE);
	finish(&s);
}

/* What a backing image holds behind the old end of the disk must not come to light. */
static void test_growing_reads_zeroes(void)
{
	struct setup s;

	start(&s, true);
	put(&s.base, 2, 0, 0xb2);
	put(&s.base, 3, 1, 0xb3);
	s.top.size = 2 * GRANULE + 100;
	s.top_state.zero_works = true;
	s.top_state.next = 4;
	CHECK(imgfmt_truncate(&s.top, SIZE) == 0);
	check_read(&s, 2 * GRANULE, 100, 0xb2);
	check_read(&s, 2 * GRANULE + 100, 2 * GRANULE, 0);
	CHECK(imgfmt_size(&s.top) == SIZE);
	finish(&s);
}

static void test_read_only(void)
{
	struct setup s;

	start(&s, false);
	s.top.read_only = true;
	CHECK(imgfmt_write(&s.top, "x", 1, 0) == -EROFS);
	CHECK(imgfmt_zero(&s.top, 0, 1, IMGFMT_ZERO_KEEP) == -EROFS);
	CHECK(imgfmt_truncate(&s.top, 1) == -EROFS);
	CHECK(imgfmt_flush(&s.top) == 0);
	CHECK(s.top_state.begins == 0);
	finish(&s);
}

int main(void)
{
	test_read_through_chain();
	test_copy_on_write();
	test_fresh_space_is_left_alone();
	test_last_granule();
	test_failing_link();
	for (int ways = 0; ways < 8; ways++)
		zero_all_ways(ways & 1, ways & 2 ? IMGFMT_ZERO_KEEP : IMGFMT_ZERO_DISCARD,
			      ways & 4);
	test_zero_skips_zeroes();
	test_status();
	test_seek();
	test_seek_is_bounded();
	test_growing_reads_zeroes();
	test_read_only();
	return 0;
}
