/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space that is freed is used again also where there never is a moment without a request: each
 * leaves only after the next has entered, as under a steady load.
 */
#include "small-qcow2.h"

#include "cleanup.h"
#include "image.h"

#define ROUNDS 40

static struct imgfmt_image *open_small(int fd)
{
	const struct imgfmt_open_options options = { .path = "small", .format = "qcow2" };
	struct imgfmt_image *image;
	struct imgfmt_error error;

	CHECK_EQUAL(imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, &error), 0);
	return image;
}

static uint64_t host_size(struct imgfmt_image *image)
{
	struct imgfmt_info info;

	imgfmt_get_info(image, &info);
	return info.host_size;
}

/* One request takes over from the last. */
static uint64_t hand_over(struct imgfmt_image *image, uint64_t epoch)
{
	uint64_t next = grace_enter(&image->grace);

	grace_leave(&image->grace, epoch);
	return next;
}

/* Write the whole disk and discard it, again and again. */
static void test_steady_load(void)
{
	_cleanup_close_ int fd = small_qcow2();
	struct imgfmt_image *image = open_small(fd);
	uint64_t epoch = grace_enter(&image->grace);
	static uint8_t data[DISK_SIZE];

	memset(data, 0x55, sizeof(data));
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQUAL(imgfmt_write(image, data, sizeof(data), 0), 0);
		CHECK_EQUAL(imgfmt_zero(image, 0, DISK_SIZE, IMGFMT_ZERO_DISCARD), 0);
		CHECK_EQUAL(imgfmt_flush(image), 0);
		/* A request lasts longer than it takes from one flush to the next. */
		if (i % 2 == 0)
			epoch = hand_over(image, epoch);
	}
	/* The disk, what waits, what will wait next, and the tables: however many rounds. */
	CHECK(host_size(image) < 10 * DISK_SIZE);
	grace_leave(&image->grace, epoch);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

/*
 * A request that stays keeps what was freed beside it from being used, however many flushes there
 * are.
 */
static void test_long_request(void)
{
	_cleanup_close_ int fd = small_qcow2();
	struct imgfmt_image *image = open_small(fd);
	uint64_t epoch = grace_enter(&image->grace);
	uint8_t bytes[512], data[CLUSTER];

	memset(data, 0x55, sizeof(data));
	CHECK_EQUAL(imgfmt_zero(image, 0, CLUSTER, IMGFMT_ZERO_DISCARD), 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQUAL(imgfmt_write(image, data, CLUSTER, CLUSTER), 0);
		CHECK_EQUAL(imgfmt_flush(image), 0);
		CHECK_EQUAL(imgfmt_zero(image, CLUSTER, CLUSTER, IMGFMT_ZERO_DISCARD), 0);
		CHECK_EQUAL(imgfmt_flush(image), 0);
		CHECK(pread(fd, bytes, sizeof(bytes), AT_DATA) == sizeof(bytes));
		CHECK(test_all(bytes, sizeof(bytes), 0x77));
	}
	grace_leave(&image->grace, epoch);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

int main(void)
{
	test_steady_load();
	test_long_request();
	return 0;
}
