/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * To be preloaded: fdatasync() fails while the first byte of the file $SYNC_FAULT is '1'. While it
 * is 'w' it waits, and says so by making the second byte a 'w', too. While it is 'x' it prints to
 * standard error, cuts off what was there before, and aborts. That goes through a mapping, which a
 * process keeps that opens no files any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile char none[2];
static volatile char *fault = none;

static const char words[] = "first\n\033[31msecond\n";

__attribute__((constructor)) static void map_fault(void)
{
	const char *path = getenv("SYNC_FAULT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapping;

	if (fd < 0)
		return;
	mapping = mmap(NULL, 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapping != MAP_FAILED)
		fault = mapping;
}

int fdatasync(int fd)
{
	while (fault[0] == 'w')
		fault[1] = 'w';
	if (fault[0] == 'x') {
		int cut = ftruncate(STDERR_FILENO, 0);
		ssize_t said = write(STDERR_FILENO, words, sizeof(words) - 1);

		(void)cut;
		(void)said;
		abort();
	}
	if (fault[0] == '1') {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}
