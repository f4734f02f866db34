/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostfile: on a file of the disk and on one in memory, which can do less. */
#include "test.h"

#include "hostfile.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define PAGE    UINT64_C(4096)
#define PATTERN 0x5a

/* Where there is a rendezvous, the first sync waits for another one, which fails. */
struct rendezvous {
	sem_t first_began, second_ended;
	atomic_uint syncs;
};

static struct rendezvous *rendezvous;

int fdatasync(int fd)
{
	if (!rendezvous)
		return (int)syscall(SYS_fdatasync, fd);
	if (atomic_fetch_add(&rendezvous->syncs, 1) > 0) {
		errno = EIO;
		return -1;
	}
	sem_post(&rendezvous->first_began);
	sem_wait(&rendezvous->second_ended);
	return 0;
}

static struct hostfile *wrap(int fd, bool writable)
{
	struct hostfile *file;

	CHECK_EQUAL(hostfile_create(fd, writable, &file), 0);
	return file;
}

/* A hostfile of @fd, which is made to hold @size bytes of the pattern. */
static struct hostfile *filled(int fd, size_t size)
{
	struct hostfile *file = wrap(fd, true);
	char *bytes = malloc(size);

	CHECK(bytes);
	memset(bytes, PATTERN, size);
	CHECK_EQUAL(hostfile_write(file, bytes, size, 0), 0);
	free(bytes);
	return file;
}

static uint64_t size_of(struct hostfile *file)
{
	uint64_t size;

	CHECK_EQUAL(hostfile_size(file, &size), 0);
	return size;
}

static uint64_t allocated(struct hostfile *file)
{
	uint64_t size;

	CHECK_EQUAL(hostfile_sync(file), 0);
	CHECK_EQUAL(hostfile_allocated(file, &size), 0);
	return size;
}

static bool holds(struct hostfile *file, uint64_t offset, size_t count, unsigned char value)
{
	char *bytes = malloc(count);
	bool all;

	CHECK(bytes);
	CHECK_EQUAL(hostfile_read(file, bytes, count, offset), 0);
	all = test_all(bytes, count, value);
	free(bytes);
	return all;
}

static void test_create(void)
{
	struct hostfile *file = NULL;
	int fds[2], fd;

	CHECK(pipe(fds) == 0);
	CHECK_EQUAL(hostfile_create(fds[0], false, &file), -EINVAL);
	CHECK(!file);
	CHECK(fcntl(fds[0], F_GETFD) < 0);
	close(fds[1]);
	fd = open("/", O_RDONLY | O_DIRECTORY);
	CHECK_EQUAL(hostfile_create(fd, false, &file), -EINVAL);
	hostfile_destroy(NULL);

	fd = test_disk_file();
	file = wrap(fd, true);
	hostfile_destroy(file);
	CHECK(fcntl(fd, F_GETFD) < 0);
}

static void test_read_write(int fd)
{
	struct hostfile *file = filled(fd, 1000);
	struct iovec iov[] = { { (char[]){ "ab" }, 2 }, { (char[]){ "c" }, 1 } };
	char bytes[16];

	CHECK_EQUAL(size_of(file), 1000);
	/* Beyond the end there are zeroes, near and far. */
	memset(bytes, 1, sizeof(bytes));
	CHECK_EQUAL(hostfile_read(file, bytes, sizeof(bytes), 992), 0);
	CHECK(test_all(bytes, 8, PATTERN) && test_all(bytes + 8, 8, 0));
	CHECK(holds(file, 5000, 100, 0));
	CHECK(holds(file, INT64_MAX - 5, 100, 0));
	CHECK(holds(file, UINT64_MAX - 50, 100, 0));

	CHECK_EQUAL(hostfile_writev(file, iov, 2, 998), 0);
	CHECK_EQUAL(size_of(file), 1001);
	CHECK_EQUAL(hostfile_read(file, bytes, 4, 997), 0);
	CHECK(memcmp(bytes, "Zabc", 4) == 0);

	CHECK_EQUAL(hostfile_write(file, bytes, 16, INT64_MAX - 15), -EFBIG);
	CHECK_EQUAL(hostfile_write(file, bytes, 16, UINT64_MAX - 15), -EFBIG);
	CHECK_EQUAL(hostfile_zero(file, UINT64_MAX, 2, true), -EFBIG);
	CHECK_EQUAL(hostfile_truncate(file, UINT64_MAX), -EFBIG);
	CHECK_EQUAL(size_of(file), 1001);
	hostfile_destroy(file);
}

static void test_read_only(int fd)
{
	struct hostfile *file = wrap(test_reopen(fd, O_RDONLY), false);
	char byte = 1;
	struct iovec iov = { &byte, 1 };

	CHECK_EQUAL(hostfile_write(file, &byte, 1, 0), -EROFS);
	CHECK_EQUAL(hostfile_writev(file, &iov, 1, 0), -EROFS);
	CHECK_EQUAL(hostfile_zero(file, 0, 1, true), -EROFS);
	CHECK_EQUAL(hostfile_truncate(file, 1), -EROFS);
	CHECK_EQUAL(hostfile_extend(file, 1), -EROFS);
	CHECK_EQUAL(hostfile_sync(file), 0);
	hostfile_discard(file, 0, 1);
	CHECK_EQUAL(size_of(file), 0);
	hostfile_destroy(file);
	close(fd);
}

static void test_size(int fd)
{
	struct hostfile *file = filled(fd, 3 * PAGE);

	CHECK_EQUAL(hostfile_truncate(file, 5), 0);
	CHECK_EQUAL(size_of(file), 5);
	CHECK_EQUAL(hostfile_extend(file, 3), 0);
	CHECK_EQUAL(size_of(file), 5);
	CHECK_EQUAL(hostfile_extend(file, 2 * PAGE), 0);
	CHECK_EQUAL(size_of(file), 2 * PAGE);
	CHECK(holds(file, 0, 5, PATTERN) && holds(file, 5, 2 * PAGE - 5, 0));
	CHECK_EQUAL(hostfile_truncate(file, 3 * PAGE + 1), 0);
	CHECK_EQUAL(size_of(file), 3 * PAGE + 1);
	CHECK(holds(file, 5, 3 * PAGE, 0));
	hostfile_destroy(file);
}

/* Unaligned ranges, inside, over the end, beyond it: every byte of the range, and no other. */
static void test_zero(int fd, bool punch)
{
	static const struct {
		uint64_t offset, length;
	} ranges[] = {
		{ 0, 1 },
		{ 1, 10 },
		{ 100, 5 * PAGE },
		{ 2 * PAGE, 3 * PAGE },
		{ PAGE - 1, 200 * PAGE },
		{ 299 * PAGE, 2 * PAGE },
		{ 300 * PAGE, 10 },
		{ 310 * PAGE + 7, 3 * PAGE },
	};
	const size_t size = 300 * PAGE;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		uint64_t offset = ranges[i].offset, end = offset + ranges[i].length;
		struct hostfile *file;

		CHECK(ftruncate(fd, 0) == 0);
		file = filled(test_reopen(fd, O_RDWR), size);
		CHECK_EQUAL(hostfile_zero(file, offset, end - offset, punch), 0);
		CHECK_EQUAL(size_of(file), end > size ? end : size);
		CHECK(holds(file, 0, offset < size ? offset : size, PATTERN));
		CHECK(holds(file, offset, end - offset, 0));
		CHECK(end >= size || holds(file, end, size - end, PATTERN));
		CHECK(offset <= size || holds(file, size, offset - size, 0));
		CHECK_EQUAL(hostfile_zero(file, 900 * PAGE, 0, punch), 0);
		CHECK(size_of(file) < 900 * PAGE);
		hostfile_destroy(file);
	}
	close(fd);
}

static void test_zero_space(int fd)
{
	const uint64_t size = 256 * PAGE;
	struct hostfile *file = filled(fd, size);

	CHECK_EQUAL(hostfile_zero(file, 0, size / 2, false), 0);
	CHECK(allocated(file) >= size);
	CHECK_EQUAL(hostfile_zero(file, 0, size / 2, true), 0);
	CHECK(allocated(file) < size);
	CHECK(allocated(file) >= size / 2);
	hostfile_discard(file, size / 2, size);
	CHECK(allocated(file) < size / 2);
	CHECK_EQUAL(size_of(file), size);
	hostfile_destroy(file);
}

/* Zeroing what has no space takes none where zeroes have to be written. */
static void test_zero_skips_holes(void)
{
	struct hostfile *file = wrap(test_memory_file(), true);

	CHECK_EQUAL(hostfile_extend(file, UINT64_C(64) << 20), 0);
	CHECK_EQUAL(hostfile_write(file, "x", 1, UINT64_C(32) << 20), 0);
	CHECK_EQUAL(hostfile_zero(file, 0, UINT64_C(128) << 20, false), 0);
	CHECK(allocated(file) < UINT64_C(4) << 20);
	CHECK(holds(file, UINT64_C(32) << 20, 1, 0));
	CHECK_EQUAL(size_of(file), UINT64_C(128) << 20);
	hostfile_destroy(file);
}

static void check_status(struct hostfile *file, uint64_t offset, uint64_t length, bool data,
			 uint64_t run)
{
	bool found_data;
	uint64_t found_run;

	CHECK_EQUAL(hostfile_status(file, offset, length, &found_data, &found_run), 0);
	CHECK_EQUAL(found_data, data);
	CHECK_EQUAL(found_run, run);
}

static void test_status(void)
{
	struct hostfile *file = wrap(test_memory_file(), true);

	/* A hole of 8 pages, 2 pages of data, a hole up to 20 pages and some bytes. */
	CHECK_EQUAL(hostfile_extend(file, 20 * PAGE + 10), 0);
	CHECK_EQUAL(hostfile_write(file, "x", 1, 8 * PAGE), 0);
	CHECK_EQUAL(hostfile_write(file, "x", 1, 9 * PAGE), 0);
	check_status(file, 0, 100 * PAGE, false, 8 * PAGE);
	check_status(file, 0, 8 * PAGE, false, 8 * PAGE);
	check_status(file, 0, 5, false, 5);
	check_status(file, 8 * PAGE - 1, 100 * PAGE, false, 1);
	check_status(file, 8 * PAGE, 100 * PAGE, true, 2 * PAGE);
	check_status(file, 8 * PAGE + 1, 1, true, 1);
	check_status(file, 10 * PAGE - 1, 100 * PAGE, true, 1);
	check_status(file, 10 * PAGE, 100 * PAGE, false, 100 * PAGE);
	check_status(file, 20 * PAGE + 10, 1, false, 1);
	check_status(file, UINT64_C(1) << 62, 77, false, 77);
	/* Data up to the end: the hole begins there. */
	CHECK_EQUAL(hostfile_write(file, "0123456789", 10, 20 * PAGE), 0);
	check_status(file, 20 * PAGE, 100, true, 10);
	hostfile_destroy(file);
}

static void test_identity(void)
{
	int fd = test_disk_file(), other = test_disk_file();
	struct hostfile *a = wrap(test_reopen(fd, O_RDWR), true);
	struct hostfile *b = wrap(fd, true), *c = wrap(other, true);
	uint64_t device[3], inode[3];

	CHECK_EQUAL(hostfile_identity(a, &device[0], &inode[0]), 0);
	CHECK_EQUAL(hostfile_identity(b, &device[1], &inode[1]), 0);
	CHECK_EQUAL(hostfile_identity(c, &device[2], &inode[2]), 0);
	CHECK(device[0] == device[1] && inode[0] == inode[1]);
	CHECK(device[0] == device[2] && inode[0] != inode[2]);
	hostfile_destroy(a);
	hostfile_destroy(b);
	hostfile_destroy(c);
}

/* One thread grows the file without end, while the other writes behind where that ends. */
#define GROWING_STEPS 20000

static _Atomic uint64_t written;

static void *grower(void *argument)
{
	uint64_t end;

	while ((end = atomic_load(&written)) < GROWING_STEPS)
		CHECK_EQUAL(hostfile_extend(argument, end + 1), 0);
	return NULL;
}

static void test_growing(void)
{
	struct hostfile *file = wrap(test_memory_file(), true);
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, grower, file) == 0);
	for (uint64_t i = 0; i < GROWING_STEPS; i++) {
		const char bytes[] = { PATTERN, PATTERN };

		CHECK_EQUAL(hostfile_write(file, bytes, 1 + i % 2, i), 0);
		atomic_store(&written, i + 1);
	}
	pthread_join(thread, NULL);
	CHECK(holds(file, 0, GROWING_STEPS, PATTERN));
	hostfile_destroy(file);
}

static void *sync_first(void *argument)
{
	return (void *)(intptr_t)hostfile_sync(argument);
}

/*
 * The kernel tells of a failure once. Of two syncs at the same time the one is told, and the other
 * has failed no less: what it was to make durable may be what was lost.
 */
static void test_sync_that_fails_beside_another(void)
{
	struct hostfile *file = filled(test_disk_file(), 100);
	struct rendezvous here = { .syncs = 0 };
	pthread_t thread;
	void *result;

	sem_init(&here.first_began, 0, 0);
	sem_init(&here.second_ended, 0, 0);
	rendezvous = &here;
	CHECK(pthread_create(&thread, NULL, sync_first, file) == 0);
	sem_wait(&here.first_began);
	CHECK_EQUAL(hostfile_sync(file), -EIO);
	sem_post(&here.second_ended);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK_EQUAL((intptr_t)result, -EIO);
	CHECK_EQUAL(hostfile_sync(file), -EIO);
	CHECK_EQUAL(here.syncs, 2);
	rendezvous = NULL;
	hostfile_destroy(file);
}

int main(void)
{
	test_create();
	test_read_write(test_disk_file());
	test_read_write(test_memory_file());
	test_read_only(test_disk_file());
	test_size(test_disk_file());
	test_size(test_memory_file());
	test_zero(test_disk_file(), true);
	test_zero(test_disk_file(), false);
	test_zero(test_memory_file(), true);
	test_zero(test_memory_file(), false);
	test_zero_space(test_disk_file());
	test_zero_space(test_memory_file());
	test_zero_skips_holes();
	test_status();
	test_identity();
	test_growing();
	test_sync_that_fails_beside_another();
	return 0;
}
