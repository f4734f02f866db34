/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which descriptors of a process are taken for the outcome of an export. */
#include "outcome.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void check_own(void)
{
	int own = outcome_create(), fd;
	struct outcome outcome;

	fd = outcome_open(getpid(), own, geteuid());
	CHECK(fd >= 0);
	CHECK_EQUAL(outcome_read(fd, &outcome), -ENODATA);
	outcome_write(own, -EIO, "words");
	CHECK_EQUAL(outcome_read(fd, &outcome), 0);
	CHECK_EQUAL(outcome.result, -EIO);
	CHECK_EQUAL(outcome_open(getpid(), own, geteuid() + 1), -EBADF);
	close(fd);
	close(own);
	CHECK_EQUAL(outcome_open(getpid(), own, geteuid()), -ENOENT);
}

/* A file system could keep whoever reads it waiting, also where the file has no name any more. */
static void check_others(void)
{
	int file = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), sockets[2];

	if (file >= 0)
		CHECK_EQUAL(outcome_open(getpid(), file, geteuid()), -EBADF);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	CHECK_EQUAL(outcome_open(getpid(), sockets[0], geteuid()), -EBADF);
}

int main(void)
{
	check_own();
	check_others();
	return 0;
}
