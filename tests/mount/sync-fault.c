/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * To be preloaded: fdatasync() fails while the first byte of the file $SYNC_FAULT is '1', and does
 * not return while it is '2'. That is looked at through a mapping, which a process keeps that opens
 * no files any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const volatile char *fault = "";

__attribute__((constructor)) static void map_fault(void)
{
	const char *path = getenv("SYNC_FAULT");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapping;

	if (fd < 0)
		return;
	mapping = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (mapping != MAP_FAILED)
		fault = mapping;
}

int fdatasync(int fd)
{
	while (*fault == '2')
		poll(NULL, 0, 10);
	if (*fault == '1') {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}
