/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostfile on a block device: a loop device over a file in memory, with sectors of 4 KiB.
 */
#include "loop-device.h"

#include "hostfile.h"

#include <sys/stat.h>

#define SIZE   (UINT64_C(1) << 20)
#define SECTOR UINT64_C(4096)

static void fill(struct hostfile *file, unsigned char value)
{
	char *bytes = malloc(SIZE);

	CHECK(bytes);
	memset(bytes, value, SIZE);
	CHECK_EQUAL(hostfile_write(file, bytes, SIZE, 0), 0);
	free(bytes);
}

static bool holds(struct hostfile *file, uint64_t offset, uint64_t end, unsigned char value)
{
	char *bytes = malloc(SIZE);
	bool all;

	CHECK(bytes && end - offset <= SIZE);
	CHECK_EQUAL(hostfile_read(file, bytes, end - offset, offset), 0);
	all = test_all(bytes, end - offset, value);
	free(bytes);
	return all;
}

static void test_size(struct hostfile *file)
{
	uint64_t size, length;
	bool data;

	CHECK_EQUAL(hostfile_size(file, &size), 0);
	CHECK_EQUAL(size, SIZE);
	CHECK_EQUAL(hostfile_allocated(file, &size), 0);
	CHECK_EQUAL(size, SIZE);
	CHECK_EQUAL(hostfile_truncate(file, SIZE), 0);
	CHECK_EQUAL(hostfile_truncate(file, SIZE - SECTOR), -ENOTSUP);
	CHECK_EQUAL(hostfile_truncate(file, SIZE + SECTOR), -ENOTSUP);
	CHECK_EQUAL(hostfile_extend(file, SIZE), 0);
	CHECK_EQUAL(hostfile_extend(file, SIZE + 1), -ENOSPC);
	CHECK_EQUAL(hostfile_write(file, "x", 1, SIZE), -ENOSPC);
	CHECK_EQUAL(hostfile_zero(file, SIZE - 1, 2, true), -ENOSPC);
	CHECK(holds(file, SIZE, SIZE + 10, 0));

	CHECK_EQUAL(hostfile_status(file, 5, 100, &data, &length), 0);
	CHECK(data && length == 100);
	CHECK_EQUAL(hostfile_status(file, SIZE - 5, 100, &data, &length), 0);
	CHECK(data && length == 5);
	CHECK_EQUAL(hostfile_status(file, SIZE, 100, &data, &length), 0);
	CHECK(!data && length == 100);
}

static void test_zero(struct hostfile *file, bool punch)
{
	static const struct {
		uint64_t begin, end;
	} ranges[] = {
		{ 0, SIZE },
		{ 0, 1 },
		{ 1, SECTOR },
		{ 100, 200 },
		{ SECTOR, 3 * SECTOR },
		{ SECTOR - 1, SECTOR + 1 },
		{ SECTOR - 1, 9 * SECTOR + 1 },
		{ SIZE - 7, SIZE },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		uint64_t begin = ranges[i].begin, end = ranges[i].end;

		fill(file, 0xa5);
		CHECK_EQUAL(hostfile_zero(file, begin, end - begin, punch), 0);
		CHECK(holds(file, 0, begin, 0xa5));
		CHECK(holds(file, begin, end, 0));
		CHECK(holds(file, end, SIZE, 0xa5));
	}
}

static uint64_t backing_space(int backing)
{
	struct stat st;

	CHECK(fstat(backing, &st) == 0);
	return (uint64_t)st.st_blocks * 512;
}

static void test_space(struct hostfile *file, int backing)
{
	fill(file, 0xa5);
	CHECK_EQUAL(hostfile_sync(file), 0);
	CHECK_EQUAL(backing_space(backing), SIZE);
	CHECK_EQUAL(hostfile_zero(file, 1, SIZE / 2, true), 0);
	CHECK_EQUAL(hostfile_sync(file), 0);
	CHECK_EQUAL(backing_space(backing), SIZE / 2 + SECTOR);
	/* Discarding takes whole sectors inside the range only. */
	hostfile_discard(file, SIZE / 2 + SECTOR + 1, 2 * SECTOR);
	CHECK_EQUAL(hostfile_sync(file), 0);
	CHECK_EQUAL(backing_space(backing), SIZE / 2);
	CHECK(holds(file, SIZE / 2 + SECTOR, SIZE / 2 + 2 * SECTOR, 0xa5));
	CHECK(holds(file, SIZE / 2 + 3 * SECTOR, SIZE, 0xa5));
	hostfile_discard(file, SIZE / 2 + SECTOR + 1, SECTOR);
	CHECK_EQUAL(backing_space(backing), SIZE / 2);
}

/* Many nodes, one device. */
static void test_identity(struct hostfile *file, int fd)
{
	struct hostfile *again;
	uint64_t device[2], inode[2];
	struct stat st;
	char path[] = "/tmp/imgfuse-test-XXXXXX";

	CHECK(fstat(fd, &st) == 0);
	CHECK(mkdtemp(path));
	CHECK(rmdir(path) == 0);
	CHECK(mknod(path, S_IFBLK | 0600, st.st_rdev) == 0);
	CHECK_EQUAL(hostfile_create(open(path, O_RDONLY | O_CLOEXEC), false, &again), 0);
	CHECK(unlink(path) == 0);
	CHECK_EQUAL(hostfile_identity(file, &device[0], &inode[0]), 0);
	CHECK_EQUAL(hostfile_identity(again, &device[1], &inode[1]), 0);
	CHECK(device[0] == device[1] && inode[0] == inode[1]);
	hostfile_destroy(again);
}

/* A sync that failed once fails for ever, though the kernel has forgotten. */
static void test_sync_error(struct hostfile *file, int fd, int backing)
{
	fill(file, 0x11);
	CHECK_EQUAL(hostfile_sync(file), 0);
	CHECK(fcntl(backing, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	fill(file, 0x22);
	CHECK_EQUAL(hostfile_sync(file), -EIO);
	CHECK(fdatasync(fd) == 0);
	CHECK_EQUAL(hostfile_sync(file), -EIO);
	CHECK_EQUAL(hostfile_sync(file), -EIO);
}

int main(void)
{
	int backing = test_memory_file(), fd;
	struct hostfile *file;

	CHECK(ftruncate(backing, (off_t)SIZE) == 0);
	fd = loop_over(backing, SECTOR);
	if (fd < 0) {
		printf("no loop device: %s\n", strerror(errno));
		return TEST_SKIPPED;
	}
	CHECK_EQUAL(hostfile_create(fd, true, &file), 0);
	test_size(file);
	test_zero(file, true);
	test_space(file, backing);
	/* Last: memory cannot do it, after which the kernel takes it that nor can the device. */
	test_zero(file, false);
	test_zero(file, true);
	test_identity(file, fd);
	test_sync_error(file, fd, backing);
	hostfile_destroy(file);
	close(backing);
	return 0;
}
