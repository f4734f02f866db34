/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for those outside: they arrive, and nobody waits for ever for who does not listen, and what
 * is shared with others stays as they have it.
 */
#include "test.h"

#include "outward.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void check_blocking(int fd)
{
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
}

/* Write to @fd until nothing more goes in. */
static void fill(int fd)
{
	char nothing[4096] = "";
	int flags = fcntl(fd, F_GETFL);

	CHECK_EQUAL(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (write(fd, nothing, sizeof(nothing)) > 0)
		;
	while (write(fd, nothing, 1) > 0)
		;
	CHECK_EQUAL(errno, EAGAIN);
	CHECK_EQUAL(fcntl(fd, F_SETFL, flags), 0);
}

static void empty(int fd)
{
	char buffer[4096];
	int flags = fcntl(fd, F_GETFL);

	CHECK_EQUAL(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	CHECK_EQUAL(fcntl(fd, F_SETFL, flags), 0);
}

static void check_heard(int fd, const char *wanted)
{
	char buffer[256];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	CHECK_EQUAL(n, (ssize_t)strlen(wanted));
	CHECK(memcmp(buffer, wanted, strlen(wanted)) == 0);
}

static struct outward listener;

/* Through @ends[1] to @ends[0]. */
static void test_stream(const int ends[2])
{
	CHECK_EQUAL(outward_write(ends[1], "words", 5, &listener), 0);
	check_heard(ends[0], "words");
	fill(ends[1]);
	CHECK_EQUAL(outward_write(ends[1], "words", 5, &listener), -EAGAIN);
	CHECK_EQUAL(outward_write(ends[1], "words", 5, &listener), -EAGAIN);
	empty(ends[0]);
	CHECK_EQUAL(outward_write(ends[1], "again", 5, &listener), 0);
	check_heard(ends[0], "again");
	check_blocking(ends[1]);
	close(ends[0]);
	CHECK_EQUAL(outward_write(ends[1], "words", 5, &listener), -EPIPE);
	close(ends[1]);
}

static void test_streams(void)
{
	int ends[2];

	CHECK_EQUAL(pipe(ends), 0);
	test_stream(ends);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	test_stream(ends);
}

static void test_file(void)
{
	FILE *file = tmpfile();
	char buffer[16];

	CHECK(file);
	CHECK_EQUAL(outward_write(fileno(file), "some ", 5, &listener), 0);
	CHECK_EQUAL(outward_write(fileno(file), "words", 5, &listener), 0);
	CHECK_EQUAL(pread(fileno(file), buffer, sizeof(buffer), 0), 10);
	CHECK(memcmp(buffer, "some words", 10) == 0);
	fclose(file);
}

/* A socket that others can send to; @name is a path, or an abstract name. */
static int listen_at(int type, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (*name == '@')
		address.sun_path[0] = '\0';
	CHECK_EQUAL(bind(fd, (const struct sockaddr *)&address,
			 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		    0);
	return fd;
}

static void test_datagrams(void)
{
	int fd, count = 0, r;
	char name[64];

	snprintf(name, sizeof(name), "@imgfuse-test-%d", (int)getpid());
	fd = listen_at(SOCK_DGRAM, name);
	CHECK_EQUAL(outward_send(name, "words", &listener), 0);
	check_heard(fd, "words");
	while ((r = outward_send(name, "x", &listener)) == 0)
		count++;
	CHECK_EQUAL(r, -EAGAIN);
	CHECK_EQUAL(outward_send(name, "x", &listener), -EAGAIN);
	for (; count > 0; count--)
		check_heard(fd, "x");
	CHECK_EQUAL(outward_send(name, "again", &listener), 0);
	check_heard(fd, "again");
	close(fd);
	CHECK_EQUAL(outward_send(name, "words", &listener), -ECONNREFUSED);
	CHECK_EQUAL(outward_send("/no/such/socket", "words", &listener), -ENOENT);
}

static void test_connection(void)
{
	char directory[] = "/tmp/imgfuse-test.XXXXXX", name[64], buffer[16];
	int fd, peer;

	CHECK(mkdtemp(directory));
	snprintf(name, sizeof(name), "%s/socket", directory);
	fd = listen_at(SOCK_STREAM, name);
	CHECK_EQUAL(listen(fd, 1), 0);
	CHECK_EQUAL(outward_send(name, "words", &listener), 0);
	peer = accept(fd, NULL, NULL);
	CHECK(peer >= 0);
	CHECK_EQUAL(read(peer, buffer, sizeof(buffer)), 6);
	CHECK(memcmp(buffer, "words", 6) == 0);
	close(peer);
	close(fd);
	unlink(name);
	rmdir(directory);
}

static void test_long_name(void)
{
	char name[200];

	memset(name, '/', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CHECK_EQUAL(outward_send(name, "words", &listener), -ENAMETOOLONG);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_streams();
	test_file();
	test_datagrams();
	test_connection();
	test_long_name();
	return 0;
}
