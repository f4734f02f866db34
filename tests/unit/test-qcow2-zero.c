/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Zeroing waits for a write in place that is under way (I4). It leaves the host cluster in reserve,
 * and the next write fills that up with zeroes: the first one must not come after that, or its data
 * would be there again when all has been zeroed.
 */
#include "small-qcow2.h"

#include "cleanup.h"
#include "image.h"
#include "lock.h"
#include "qcow2/qcow2.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct zeroing {
	struct imgfmt_image *image;
	uint64_t guest_offset, length;
	enum imgfmt_zero_mode mode;
	pthread_t thread;
	atomic_bool ended;
};

static void *run_zeroing(void *argument)
{
	struct zeroing *zeroing = argument;

	CHECK_EQUAL(
		imgfmt_zero(zeroing->image, zeroing->guest_offset, zeroing->length, zeroing->mode),
		0);
	zeroing->ended = true;
	return NULL;
}

/* Does it keep others away, as who waits for a write in place does? */
static bool is_waiting(struct qcow2 *q)
{
	LOCKED(&q->meta);

	return !list_is_empty(&q->allocations);
}

/* Start zeroing, and see whether it ends or waits. */
static void start_zeroing(struct zeroing *zeroing)
{
	CHECK_EQUAL(pthread_create(&zeroing->thread, NULL, run_zeroing, zeroing), 0);
	while (!zeroing->ended && !is_waiting(zeroing->image->state))
		sched_yield();
}

static int open_data_file(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
			  char **ret_path, struct imgfmt_error *reterr)
{
	const int *fd = userdata;

	(void)reference;
	(void)reterr;
	*ret_fd = test_reopen(*fd, O_RDWR);
	*ret_path = strdup("data");
	return 0;
}

/* With an external data file, unless that is -1. */
static struct imgfmt_image *open_small(int fd, int data_fd)
{
	const struct imgfmt_gate gate = { open_data_file, &data_fd };
	const struct imgfmt_open_options options = {
		.path = "small",
		.format = "qcow2",
		.gate = &gate,
	};
	struct imgfmt_image *image;
	struct imgfmt_error error;

	if (data_fd >= 0)
		poke64(fd, QCOW2_AT_INCOMPATIBLE, QCOW2_INCOMPATIBLE_DATA_FILE);
	CHECK_EQUAL(imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, &error), 0);
	return image;
}

static void expect_zeroes(struct imgfmt_image *image, uint64_t guest_offset, size_t count)
{
	uint8_t bytes[CLUSTER];

	CHECK_EQUAL(imgfmt_read(image, bytes, count, guest_offset), 0);
	for (size_t i = 0; i < count; i++)
		CHECK_EQUAL(bytes[i], 0);
}

/*
 * A write in place begins; all is zeroed, and written to; and only then its data comes. What is
 * discarded keeps its place in a data file only.
 */
static void test_slow_write(enum imgfmt_zero_mode mode, int data_fd)
{
	_cleanup_close_ int fd = small_qcow2();
	struct imgfmt_image *image = open_small(fd, data_fd);
	struct zeroing zeroing = {
		.image = image,
		.guest_offset = CLUSTER,
		.length = CLUSTER,
		.mode = mode,
	};
	uint64_t epoch = grace_enter(&image->grace);
	uint8_t data[CLUSTER];
	struct driver_write slow;

	memset(data, 0x55, sizeof(data));
	CHECK_EQUAL(imgfmt_write(image, data, CLUSTER, CLUSTER), 0);
	CHECK_EQUAL(driver_write_begin(image, CLUSTER, CLUSTER, &slow), 0);
	CHECK_EQUAL(slow.head, 0);
	start_zeroing(&zeroing);
	if (zeroing.ended)
		CHECK_EQUAL(imgfmt_write(image, data, 512, 2 * CLUSTER - 512), 0);
	CHECK_EQUAL(hostfile_write(slow.file, data, CLUSTER, slow.host_offset), 0);
	if (slow.allocation)
		CHECK_EQUAL(driver_write_end(image, &slow, 0), 0);
	grace_leave(&image->grace, epoch);
	CHECK_EQUAL(pthread_join(zeroing.thread, NULL), 0);
	expect_zeroes(image, CLUSTER, CLUSTER - 512);
	CHECK_EQUAL(imgfmt_write(image, data, 512, 2 * CLUSTER - 512), 0);
	expect_zeroes(image, CLUSTER, CLUSTER - 512);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

/* Who writes to another cluster is not waited for, nor does anybody wait for who waits there. */
static void test_others(void)
{
	_cleanup_close_ int fd = small_qcow2();
	struct imgfmt_image *image = open_small(fd, -1);
	struct zeroing zeroing = { .image = image, .length = DISK_SIZE, .mode = IMGFMT_ZERO_KEEP };
	uint8_t data[CLUSTER];
	struct driver_write slow, other;

	memset(data, 0x55, sizeof(data));
	CHECK_EQUAL(imgfmt_write(image, data, CLUSTER, CLUSTER), 0);
	CHECK_EQUAL(imgfmt_write(image, data, CLUSTER, 2 * CLUSTER), 0);
	CHECK_EQUAL(driver_write_begin(image, CLUSTER, CLUSTER, &slow), 0);
	start_zeroing(&zeroing);
	CHECK(!zeroing.ended);
	expect_zeroes(image, 0, CLUSTER);
	CHECK_EQUAL(driver_write_begin(image, 2 * CLUSTER, CLUSTER, &other), 0);
	CHECK_EQUAL(driver_write_end(image, &other, 0), 0);
	CHECK_EQUAL(driver_write_end(image, &slow, 0), 0);
	CHECK_EQUAL(pthread_join(zeroing.thread, NULL), 0);
	expect_zeroes(image, CLUSTER, CLUSTER);
	expect_zeroes(image, 2 * CLUSTER, CLUSTER);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

int main(void)
{
	_cleanup_close_ int data_fd = test_memory_file();

	test_slow_write(IMGFMT_ZERO_KEEP, -1);
	test_slow_write(IMGFMT_ZERO_KEEP, data_fd);
	test_slow_write(IMGFMT_ZERO_DISCARD, data_fd);
	test_others();
	return 0;
}
