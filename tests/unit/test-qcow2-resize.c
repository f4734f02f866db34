/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing the size of a qcow2 disk where something stands in the way, or the host file is not what
 * one made with the image would be.
 */
#include "loop-device.h"
#include "small-qcow2.h"

#include "cleanup.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* How often the host was asked to punch a hole, and the like. */
static unsigned int punched;

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	punched++;
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

/* A gate that hands out one descriptor for whatever is asked for. */
static int hand_out(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
		    char **ret_path, struct imgfmt_error *reterr)
{
	const int *fd = userdata;

	(void)reterr;
	*ret_path = strdup(reference->kind == IMGFMT_DATA_FILE ? "data" : "backing");
	*ret_fd = test_reopen(*fd, reference->writable ? O_RDWR : O_RDONLY);
	return 0;
}

static struct imgfmt_image *open_with(int fd, int *other)
{
	const struct imgfmt_gate gate = { .open = hand_out, .userdata = other };
	const struct imgfmt_open_options options = {
		.path = "small",
		.format = "qcow2",
		.replace_backing = true,
		.backing_format = "raw",
		.cache_size = 1,
		.gate = &gate,
	};
	struct imgfmt_image *image;
	struct imgfmt_error error = { "" };
	int r = imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, &error);

	if (r < 0)
		fprintf(stderr, "%s\n", error.text);
	CHECK_EQUAL(r, 0);
	return image;
}

/* ---- growing that fails ---- */

/* A name of a backing file behind the header. */
static void add_backing(int fd)
{
	static const char name[] = "backing";
	uint8_t field[12];

	put_be64(field, QCOW2_HEADER_LENGTH_V3 + 8);
	put_be32(field + 8, (uint32_t)strlen(name));
	CHECK(pwrite(fd, field, sizeof(field), QCOW2_AT_BACKING_OFFSET) == sizeof(field));
	CHECK(pwrite(fd, name, strlen(name), QCOW2_HEADER_LENGTH_V3 + 8) == (ssize_t)strlen(name));
}

/*
 * The new part needs a table for every 2 MiB, to hide what the backing file has there. So tables
 * must be flushed before all of them are made, and then there is no room for the rest.
 */
static void test_failed_growth(void)
{
	_cleanup_close_ int fd = small_qcow2(), backing = test_memory_file();
	const struct rlimit plenty = { RLIM_INFINITY, RLIM_INFINITY };
	const struct rlimit tight = { IMAGE_END + 60 * CLUSTER, RLIM_INFINITY };
	const uint64_t size = 200 * (uint64_t)DISK_SIZE;
	struct imgfmt_image *image;

	add_backing(fd);
	CHECK(ftruncate(backing, (off_t)size) == 0);
	for (uint64_t at = 0; at < size; at += DISK_SIZE)
		CHECK(pwrite(backing, "x", 1, (off_t)at) == 1);
	image = open_with(fd, &backing);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &tight) == 0);
	CHECK_EQUAL(imgfmt_truncate(image, size), -EFBIG);
	CHECK_EQUAL(imgfmt_size(image), DISK_SIZE);
	CHECK_EQUAL(peek64(fd, QCOW2_AT_SIZE), DISK_SIZE);
	CHECK(setrlimit(RLIMIT_FSIZE, &plenty) == 0);
	CHECK_EQUAL(imgfmt_truncate(image, size), 0);
	CHECK_EQUAL(peek64(fd, QCOW2_AT_SIZE), size);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

/* ---- raw data files ---- */

/* The disk is in another file, and all of that is the disk; guest cluster 0 is allocated. */
static int qcow2_with_data_file(void)
{
	int fd = small_qcow2();

	poke64(fd, QCOW2_AT_INCOMPATIBLE, QCOW2_INCOMPATIBLE_DATA_FILE);
	poke64(fd, QCOW2_AT_AUTOCLEAR, QCOW2_AUTOCLEAR_DATA_RAW);
	poke64(fd, AT_L2, QCOW2_FLAG_COPIED);
	return fd;
}

static bool reads_as(struct imgfmt_image *image, uint64_t guest_offset, size_t count,
		     unsigned char value)
{
	uint8_t bytes[CLUSTER];

	CHECK(count <= sizeof(bytes));
	CHECK_EQUAL(imgfmt_read(image, bytes, count, guest_offset), 0);
	return test_all(bytes, count, value);
}

/* What the data file holds beyond the disk is not shown when the disk grows, and not kept. */
static void test_grow_over_garbage(void)
{
	_cleanup_close_ int fd = qcow2_with_data_file(), data = test_memory_file();
	uint8_t garbage[CLUSTER];
	struct imgfmt_image *image;

	memset(garbage, 0xaa, sizeof(garbage));
	CHECK(pwrite(data, garbage, CLUSTER, 0) == CLUSTER);
	CHECK(pwrite(data, garbage, CLUSTER, DISK_SIZE) == CLUSTER);
	image = open_with(fd, &data);
	CHECK_EQUAL(imgfmt_truncate(image, DISK_SIZE + 2 * CLUSTER), 0);
	CHECK(reads_as(image, 0, CLUSTER, 0xaa));
	CHECK(reads_as(image, DISK_SIZE, CLUSTER, 0));
	CHECK(pread(data, garbage, CLUSTER, DISK_SIZE) == CLUSTER);
	CHECK(test_all(garbage, CLUSTER, 0));
	CHECK_EQUAL(imgfmt_close(image), 0);
}

/*
 * The entries stay when the disk shrinks, and are dropped when it grows again. What they pointed to
 * lies in one piece, and is given back in few.
 */
static void test_grow_over_entries(void)
{
	_cleanup_close_ int fd = qcow2_with_data_file(), data = test_memory_file();
	struct imgfmt_image *image = open_with(fd, &data);
	const unsigned int tables = 8;

	CHECK_EQUAL(imgfmt_truncate(image, (1 + tables) * (uint64_t)DISK_SIZE), 0);
	CHECK_EQUAL(imgfmt_truncate(image, DISK_SIZE), 0);
	punched = 0;
	CHECK_EQUAL(imgfmt_truncate(image, (1 + tables) * (uint64_t)DISK_SIZE), 0);
	CHECK(punched >= tables);
	CHECK(punched <= 2 * tables);
	CHECK(reads_as(image, tables * DISK_SIZE, CLUSTER, 0));
	CHECK_EQUAL(imgfmt_close(image), 0);
}

/* A device cannot be cut off: the disk shrinks all the same, or nothing has happened. */
static bool test_shrink_on_device(void)
{
	_cleanup_close_ int fd = qcow2_with_data_file(), backing = test_memory_file();
	_cleanup_close_ int device = -1;
	uint8_t data[CLUSTER];
	struct imgfmt_image *image;

	CHECK(ftruncate(backing, DISK_SIZE) == 0);
	device = loop_over(backing, 512);
	if (device < 0)
		return false;
	image = open_with(fd, &device);
	memset(data, 0x5a, sizeof(data));
	CHECK_EQUAL(imgfmt_write(image, data, CLUSTER, DISK_SIZE - CLUSTER), 0);
	CHECK_EQUAL(imgfmt_truncate(image, DISK_SIZE - CLUSTER), 0);
	CHECK_EQUAL(imgfmt_size(image), DISK_SIZE - CLUSTER);
	CHECK_EQUAL(imgfmt_truncate(image, DISK_SIZE), 0);
	CHECK(reads_as(image, DISK_SIZE - CLUSTER, CLUSTER, 0));
	CHECK_EQUAL(imgfmt_truncate(image, 2 * DISK_SIZE), -ENOSPC);
	CHECK_EQUAL(imgfmt_size(image), DISK_SIZE);
	CHECK_EQUAL(imgfmt_close(image), 0);
	return true;
}

int main(void)
{
	test_failed_growth();
	test_grow_over_garbage();
	test_grow_over_entries();
	if (!test_shrink_on_device()) {
		printf("no loop device: %s\n", strerror(errno));
		return TEST_SKIPPED;
	}
	return 0;
}
