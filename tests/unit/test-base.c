/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/base: each header's promises, at the edges. */
#include "test.h"

#include "align.h"
#include "array.h"
#include "bytes.h"
#include "cleanup.h"
#include "fullio.h"
#include "list.h"
#include "lock.h"
#include "overflow.h"

#include <signal.h>
#include <sys/resource.h>

static void test_align(void)
{
	CHECK(is_power_of_two(1) && is_power_of_two(UINT64_C(1) << 63));
	CHECK(!is_power_of_two(0) && !is_power_of_two(3) && !is_power_of_two(UINT64_MAX));
	CHECK(is_aligned(0, 512) && is_aligned(1024, 512) && !is_aligned(1025, 512));
	CHECK_EQUAL(align_down(1023, 512), 512);
	CHECK_EQUAL(align_up(1023, 512), 1024);
	CHECK_EQUAL(align_up(1024, 512), 1024);
	CHECK(align_up(UINT64_MAX - 511, 512) == UINT64_MAX - 511);
	CHECK_EQUAL(units_of(0, 9), 0);
	CHECK_EQUAL(units_of(1, 9), 1);
	CHECK_EQUAL(units_of(512, 9), 1);
	CHECK_EQUAL(units_of(513, 9), 2);
	CHECK(units_of(UINT64_MAX, 9) == UINT64_C(1) << 55);
	CHECK(min_u64(1, UINT64_MAX) == 1 && max_u64(1, UINT64_MAX) == UINT64_MAX);
}

static void test_overflow(void)
{
	uint64_t value = 7;

	CHECK(add_u64(UINT64_MAX - 1, 1, &value) && value == UINT64_MAX);
	value = 7;
	CHECK(!add_u64(UINT64_MAX, 1, &value) && value == 7);
	CHECK(mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 31, &value) && value == UINT64_C(1) << 63);
	value = 7;
	CHECK(!mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &value) && value == 7);

	CHECK(range_fits(0, 10, 10) && range_fits(10, 0, 10) && range_fits(9, 1, 10));
	CHECK(!range_fits(10, 1, 10) && !range_fits(11, 0, 10) && !range_fits(0, 11, 10));
	CHECK(!range_fits(5, UINT64_MAX, 10) && !range_fits(UINT64_MAX, 5, 10));

	CHECK(ranges_overlap(0, 10, 9, 10) && ranges_overlap(9, 1, 0, 10));
	CHECK(ranges_overlap(0, 10, 5, 1) && ranges_overlap(5, 1, 0, 10));
	CHECK(!ranges_overlap(0, 10, 10, 1) && !ranges_overlap(10, 1, 0, 10));
	CHECK(!ranges_overlap(0, 10, 5, 0) && !ranges_overlap(5, 0, 0, 10));
}

static void test_bytes(void)
{
	unsigned char bytes[16] = { 0xff, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	unsigned char zero[64] = { 0 }, ones[4] = { 1, 1, 1, 1 };

	CHECK_EQUAL(get_be16(bytes + 1), 0x0123);
	CHECK_EQUAL(get_be32(bytes + 1), 0x01234567);
	CHECK_EQUAL(get_be64(bytes + 1), 0x0123456789abcdef);
	put_be64(bytes + 3, UINT64_C(0xfedcba9876543210));
	CHECK(bytes[2] == 0x23 && bytes[3] == 0xfe && bytes[10] == 0x10 && bytes[11] == 0);
	put_be32(bytes + 1, 0x11223344);
	CHECK(bytes[1] == 0x11 && bytes[4] == 0x44 && bytes[5] == 0xba);
	put_be16(bytes + 7, 0x5566);
	CHECK(bytes[6] == 0x98 && bytes[7] == 0x55 && bytes[8] == 0x66 && bytes[9] == 0x32);

	CHECK(!all_zero(ones, sizeof(ones)));
	CHECK(all_zero(zero, 0) && all_zero(zero, 1) && all_zero(zero, sizeof(zero)));
	for (size_t i = 0; i < sizeof(zero); i++) {
		zero[i] = 1;
		CHECK(!all_zero(zero, sizeof(zero)));
		CHECK(all_zero(zero, i));
		zero[i] = 0;
	}
}

struct element {
	int value;
	struct list link;
};

static void check_list(struct list *head, const char *expected)
{
	char found[16] = "";
	size_t length = 0;

	list_for_each(link, head)
		found[length++] = (char)list_entry(link, struct element, link)->value;
	CHECK(strcmp(found, expected) == 0);
	length = 0;
	for (struct list *link = head->prev; link != head; link = link->prev)
		length++;
	CHECK_EQUAL(length, strlen(expected));
}

static void test_list(void)
{
	struct element a = { .value = 'a' }, b = { .value = 'b' }, c = { .value = 'c' };
	struct element d = { .value = 'd' };
	struct list head;

	list_init(&head);
	CHECK(list_is_empty(&head));
	check_list(&head, "");
	list_append(&head, &b.link);
	list_append(&head, &c.link);
	list_prepend(&head, &a.link);
	CHECK(!list_is_empty(&head));
	check_list(&head, "abc");
	list_remove(&b.link);
	CHECK(list_is_empty(&b.link));
	check_list(&head, "ac");
	list_insert_before(&c.link, &d.link);
	list_remove(&b.link);
	check_list(&head, "adc");
	list_remove(&d.link);
	list_insert_before(&c.link, &b.link);
	check_list(&head, "abc");
	list_for_each_safe(link, &head)
		if (link != &b.link)
			list_remove(link);
	check_list(&head, "b");
	list_for_each_safe(link, &head)
		list_remove(link);
	CHECK(list_is_empty(&head));
}

static void test_array(void)
{
	_cleanup_free_ uint64_t *array = NULL;
	size_t capacity = 0;
	void *before;

	for (size_t i = 0; i < 1000; i++) {
		CHECK_EQUAL(array_reserve_one(&array, i, &capacity, sizeof(*array)), 0);
		CHECK(capacity > i);
		array[i] = i;
	}
	for (size_t i = 0; i < 1000; i++)
		CHECK_EQUAL(array[i], i);
	CHECK_EQUAL(ARRAY_LENGTH(((int[]){ 1, 2, 3 })), 3);

	/* 32 elements of this size would wrap to a few bytes. */
	before = array;
	capacity = 16;
	CHECK_EQUAL(array_reserve_one(&array, 16, &capacity, SIZE_MAX / 32 + 2), -ENOMEM);
	CHECK(array == before && capacity == 16);
}

static void count_destroyed(int *count)
{
	(*count)++;
}
DEFINE_CLEANUP(int, count_destroyed_pointee, count_destroyed);

static void test_cleanup(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	int count = 0, kept, fds[2];

	{
		CLEANUP(count_destroyed_pointee) int *destroyed = &count;
		CLEANUP(count_destroyed_pointee) int *stolen = &count;

		CHECK(steal_ptr(stolen) == &count && !stolen);
		CHECK(destroyed && count == 0);
	}
	CHECK_EQUAL(count, 1);

	CHECK(pipe(fds) == 0);
	{
		_cleanup_close_ int closed = fds[0];
		_cleanup_close_ int stolen = fds[1];

		kept = steal_fd(&stolen);
		CHECK(stolen == -1 && closed == fds[0]);
	}
	CHECK(fcntl(fds[0], F_GETFD) < 0 && errno == EBADF);
	CHECK(fcntl(kept, F_GETFD) >= 0);
	close(kept);

	{
		LOCKED(&mutex);
		CHECK_EQUAL(pthread_mutex_trylock(&mutex), EBUSY);
	}
	CHECK_EQUAL(pthread_mutex_trylock(&mutex), 0);
	pthread_mutex_unlock(&mutex);
}

static void test_fullio(void)
{
	_cleanup_close_ int fd = test_disk_file();
	char in[8] = "xxxxxxx";
	struct iovec iov[] = {
		{ (char[]){ "ab" }, 2 },
		{ NULL, 0 },
		{ (char[]){ "cde" }, 3 },
	};

	CHECK_EQUAL(pwrite_full(fd, "0123456789", 10, 0), 0);
	CHECK_EQUAL(pwritev_full(fd, iov, 3, 3), 0);
	CHECK_EQUAL(pread_full(fd, in, 7, 2), 7);
	CHECK(memcmp(in, "2abcde8", 7) == 0);
	CHECK_EQUAL(pread_full(fd, in, 7, 8), 2);
	CHECK_EQUAL(pread_full(fd, in, 7, 100), 0);
	CHECK_EQUAL(pwritev_full(fd, NULL, 0, 0), 0);
	CHECK_EQUAL(pread_full(-1, in, 1, 0), -EBADF);
	CHECK_EQUAL(pwrite_full(-1, in, 1, 0), -EBADF);
	iov[0] = (struct iovec){ in, 1 };
	CHECK_EQUAL(pwritev_full(-1, iov, 1, 0), -EBADF);
}

/* The limit makes the kernel write less than asked for, and refuse the rest. */
static void test_short_writes(void)
{
	_cleanup_close_ int fd = test_disk_file();
	const struct rlimit limit = { .rlim_cur = 1000, .rlim_max = RLIM_INFINITY };
	const struct rlimit none = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	char bytes[1500], in[1500];
	struct iovec iov[] = { { bytes, 700 }, { bytes + 700, 500 }, { bytes + 1200, 300 } };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251 + 1);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK_EQUAL(pwrite_full(fd, bytes, sizeof(bytes), 0), -EFBIG);
	CHECK_EQUAL(pread_full(fd, in, sizeof(in), 0), 1000);
	CHECK(memcmp(in, bytes, 1000) == 0);
	CHECK(ftruncate(fd, 0) == 0);
	CHECK_EQUAL(pwritev_full(fd, iov, 3, 0), -EFBIG);
	CHECK_EQUAL(pread_full(fd, in, sizeof(in), 0), 1000);
	CHECK(memcmp(in, bytes, 1000) == 0);
	/* The rest of the array is what is left to write. */
	CHECK(iov[1].iov_base == bytes + 1000 && iov[1].iov_len == 200);
	CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
	CHECK_EQUAL(pwritev_full(fd, iov + 1, 2, 1000), 0);
	CHECK_EQUAL(pread_full(fd, in, sizeof(in), 0), 1500);
	CHECK(memcmp(in, bytes, 1500) == 0);
}

int main(void)
{
	test_align();
	test_overflow();
	test_bytes();
	test_list();
	test_array();
	test_cleanup();
	test_fullio();
	test_short_writes();
	return 0;
}
