/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What unit tests share: checks that are active in every build, and files to work on that are
 * gone when the test ends, however it ends.
 */
#pragma once

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a test exits with that could not be done at all; it says why before. */
#define TEST_SKIPPED 77

/* End the test unless @condition holds. */
#define CHECK(condition)                                                   \
	do {                                                               \
		if (!(condition))                                          \
			test_failed(__FILE__, __LINE__, "%s", #condition); \
	} while (0)

/* End the test unless two integers are equal, and say what they are. */
#define CHECK_EQUAL(a, b)                                                                          \
	do {                                                                                       \
		long long a_ = (long long)(a), b_ = (long long)(b);                                \
		if (a_ != b_)                                                                      \
			test_failed(__FILE__, __LINE__, "%s == %s: %lld != %lld", #a, #b, a_, b_); \
	} while (0)

__attribute__((noreturn, format(printf, 3, 4))) static inline void test_failed(const char *file,
									       int line,
									       const char *format,
									       ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%d: check failed: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	_exit(1);
}

/* A file on the disk that has no name any more. */
static inline int test_disk_file(void)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/imgfuse-test-XXXXXX", directory ? directory : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(unlink(path) == 0);
	return fd;
}

/* A file in memory, which has holes but cannot zero a range and keep its space. */
static inline int test_memory_file(void)
{
	int fd = memfd_create("imgfuse-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	return fd;
}

/* Open the file behind @fd once more, as a stranger would. */
static inline int test_reopen(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	CHECK(again >= 0);
	return again;
}

/* Are these bytes all @value? */
static inline bool test_all(const void *bytes, size_t count, unsigned char value)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < count; i++)
		if (p[i] != value)
			return false;
	return true;
}
