/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * O_NONBLOCK belongs to what is open, which we share with the caller, and perhaps with his shell.
 * So pipes and terminals are opened once more, and of others it is asked whether there is room.
 */
#include "outward.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

static int patience(const struct outward *listener)
{
	return listener && listener->unheard ? 0 : OUTWARD_PATIENCE;
}

static void note(struct outward *listener, int r)
{
	if (listener)
		listener->unheard = r == -EAGAIN;
}

/* The same pipe or terminal, without blocking; or -1 where that cannot be had, or is not needed. */
static int open_again(int fd)
{
	char path[64];
	struct stat st;

	if (fstat(fd, &st) < 0 || (!S_ISFIFO(st.st_mode) && !isatty(fd)))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* As write(2). A pipe that is said to have room has it for so much, and a file always has. */
static ssize_t write_some(int fd, const char *text, size_t length)
{
	length = length < PIPE_BUF ? length : PIPE_BUF;
	ssize_t n = send(fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n >= 0 || errno != ENOTSOCK ? n : write(fd, text, length);
}

int outward_write(int fd, const char *text, size_t length, struct outward *listener)
{
	_cleanup_close_ int again = open_again(fd);
	struct pollfd room = { .fd = again >= 0 ? again : fd, .events = POLLOUT };

	while (length > 0) {
		ssize_t n = -1;
		int r = poll(&room, 1, patience(listener));

		if (r == 0)
			errno = EAGAIN;
		else if (r > 0)
			n = write_some(room.fd, text, length);
		if (n < 0 && errno == EINTR)
			continue;
		note(listener, n < 0 ? -errno : 0);
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

static int send_as(int type, const struct sockaddr_un *address, socklen_t size, const char *text,
		   size_t length, int patience)
{
	/* nothing at all would be for ever */
	const struct timeval limit = { .tv_sec = patience / 1000, .tv_usec = 1 };
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)address, size) < 0 ||
	    send(fd, text, length, MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

int outward_send(const char *name, const char *text, struct outward *listener)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t name_length = strlen(name);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_length);
	int r;

	if (name_length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, name, name_length);
	/* the name of an abstract socket begins with a NUL, and ends where its length says */
	if (*name == '@')
		address.sun_path[0] = '\0';
	r = send_as(SOCK_DGRAM, &address, size, text, strlen(text), patience(listener));
	if (r == -EPROTOTYPE)
		r = send_as(SOCK_STREAM, &address, size, text, strlen(text) + 1,
			    patience(listener));
	note(listener, r);
	return r;
}
