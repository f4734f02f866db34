/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads that take requests: that a failure of any ends all, each of them once and for good.
 * There is no mount; what they read from fails, or never has a request.
 */
#include "test.h"

#include "operations.h"
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define THREADS 8

/* A session that takes its requests from @fd, and owns it. */
static struct fuse_session *create_session(int fd)
{
	static const struct fuse_lowlevel_ops none = { 0 };
	char name[] = "test", mountpoint[32];
	char *arguments[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
	struct fuse_session *fuse = fuse_session_new(&args, &none, sizeof(none), NULL);

	CHECK(fuse);
	/* libfuse takes such a name for a mount that somebody else has made */
	snprintf(mountpoint, sizeof(mountpoint), "/dev/fd/%d", fd);
	CHECK_EQUAL(fuse_session_mount(fuse, mountpoint), 0);
	fuse_opt_free_args(&args);
	return fuse;
}

static void wait_for_event(int fd)
{
	struct pollfd source = { .fd = fd, .events = POLLIN };

	while (poll(&source, 1, -1) < 0)
		CHECK_EQUAL(errno, EINTR);
}

/* Threads that take requests from a descriptor. */
struct subject {
	struct fuse_session *fuse;
	struct workers *workers;
	int ended_fd;
};

static struct subject begin(int fd)
{
	struct subject subject = {
		.fuse = create_session(fd),
		.ended_fd = eventfd(0, EFD_CLOEXEC),
	};

	CHECK_EQUAL(workers_create(subject.fuse, THREADS, subject.ended_fd, &subject.workers), 0);
	CHECK_EQUAL(workers_start(subject.workers), 0);
	workers_release(subject.workers);
	return subject;
}

/* See them end, with @wanted. */
static void end(struct subject *subject, int wanted)
{
	wait_for_event(subject->ended_fd);
	CHECK_EQUAL(workers_destroy(subject->workers), wanted);
	fuse_session_destroy(subject->fuse);
	close(subject->ended_fd);
}

/* Two ends of a connection where each message is one request. */
static void connect_ends(int ends[2])
{
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

/*
 * The threads meet the failure at about the same time, and some still tell others to end while the
 * last one does: from then on they are joined.
 */
static void test_failure_of_all(void)
{
	for (int i = 0; i < 200; i++) {
		/* reading it fails */
		struct subject subject = begin(open("/", O_RDONLY | O_CLOEXEC));

		end(&subject, -EISDIR);
	}
}

/* One reads what is no request while the others wait: it has to wake them. */
static void test_failure_of_one(void)
{
	for (int i = 0; i < 20; i++) {
		struct subject subject;
		int ends[2];

		connect_ends(ends);
		subject = begin(ends[0]);
		CHECK_EQUAL(send(ends[1], "x", 1, 0), 1);
		end(&subject, -EIO);
		close(ends[1]);
	}
}

/* Those who wait end when they are told to, which is no failure. */
static void test_stop(void)
{
	struct subject subject;
	struct pollfd source = { .events = POLLIN };
	int ends[2];

	connect_ends(ends);
	subject = begin(ends[0]);
	source.fd = subject.ended_fd;
	do
		workers_stop(subject.workers);
	while (poll(&source, 1, 20) <= 0);
	end(&subject, 0);
	close(ends[1]);
}

int main(void)
{
	test_failure_of_all();
	test_failure_of_one();
	test_stop();
	return 0;
}
