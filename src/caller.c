/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be watched, and what is the caller's; see caller.h. */
#include "caller.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Why the end of who has the other end of @fd would not be seen, or NULL. */
static const char *blindness(int fd, const struct stat *st)
{
	socklen_t type_size = sizeof(int), listens_size = sizeof(int);
	int type, listens;

	if (S_ISFIFO(st->st_mode))
		return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR ?
			       "is both ends of a pipe, which is never closed" :
			       NULL;
	if (!S_ISSOCK(st->st_mode))
		return isatty(fd) ? NULL : "is neither a pipe nor a socket nor a terminal";
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) < 0)
		return strerror(errno);
	return (type == SOCK_STREAM || type == SOCK_SEQPACKET) && !listens ?
		       NULL :
		       "is a socket without a connection that could end";
}

static bool is_gone(int fd)
{
	struct pollfd end = { .fd = fd, .events = CALLER_GONE };

	return poll(&end, 1, 0) > 0;
}

static int take(const char *option, int fd, bool watch)
{
	const char *why;
	struct stat st;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fstat(fd, &st) < 0) {
		log_error("--%s=%d: %s", option, fd, strerror(errno));
		return -EBADF;
	}
	if (watch)
		why = blindness(fd, &st);
	else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		why = "is neither a pipe nor a socket nor a terminal";
	else
		why = NULL;
	if (!why && watch && is_gone(fd))
		why = "its other end is closed already";
	if (!why)
		return 0;
	log_error("--%s=%d: %s", option, fd, why);
	return -EINVAL;
}

int caller_check(const struct options *options)
{
	int r = 0;

	if (options->ready_fd)
		r = take("ready-fd", options->ready_fd, false);
	if (r == 0 && options->watch_fd)
		r = take("watch-fd", options->watch_fd, true);
	return r;
}
