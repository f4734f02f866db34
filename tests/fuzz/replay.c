/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a fuzz target without a fuzzer: replay FILE-OR-DIRECTORY... gives it every file,
 * and says how many there were. It fails where the target does, or one input takes more than a
 * second of the processor's time, or all of them together more than 64 MiB of memory, beyond what
 * the program had before; sanitizers, which take what they like, are allowed more.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define MAX_MILLISECONDS 1000
#define MAX_KIB          ((SANITIZED ? 512L : 64L) << 10)

static unsigned int replayed;
static bool slow;

static void fail(const char *path, const char *what)
{
	fprintf(stderr, "%s: %s\n", path, what);
	exit(1);
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void replay_file(const char *path, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long begin;

	if (fd < 0 || !bytes || read(fd, bytes, size) != (ssize_t)size)
		fail(path, "cannot be read");
	close(fd);
	/* Where the target ends the program, this is the last line. */
	fprintf(stderr, "%s\n", path);
	begin = milliseconds();
	LLVMFuzzerTestOneInput(bytes, size);
	if (milliseconds() - begin > MAX_MILLISECONDS) {
		fprintf(stderr, "%s: takes %ld ms\n", path, milliseconds() - begin);
		slow = true;
	}
	free(bytes);
	replayed++;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)place;
	if (type == FTW_F)
		replay_file(path, (size_t)st->st_size);
	return 0;
}

int main(int argc, char **argv)
{
	long before = peak_kib();

	for (int i = 1; i < argc; i++)
		if (nftw(argv[i], visit, 16, FTW_PHYS) < 0)
			fail(argv[i], "cannot be looked through");
	printf("%u inputs, %ld KiB\n", replayed, peak_kib() - before);
	if (peak_kib() - before > MAX_KIB)
		fail("the inputs", "took too much memory");
	return slow || replayed == 0;
}
