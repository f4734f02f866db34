/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * To be preloaded: a process that is about to mount says so, by opening the FIFO $MOUNT_GATE for
 * writing, and goes on when somebody has opened it for reading and closed it again. $UNMOUNT_GATE
 * is the same for one that is about to unmount.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_at(const char *gate)
{
	struct pollfd reader = { .fd = open(gate, O_WRONLY | O_CLOEXEC) };

	while (poll(&reader, 1, -1) < 0 && errno == EINTR)
		;
	close(reader.fd);
}

int move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	const char *gate = getenv("MOUNT_GATE");

	if (gate)
		wait_at(gate);
	return (int)syscall(SYS_move_mount, from_fd, from, to_fd, to, flags);
}

int umount2(const char *target, int flags)
{
	const char *gate = getenv("UNMOUNT_GATE");

	if (gate)
		wait_at(gate);
	return (int)syscall(SYS_umount2, target, flags);
}
