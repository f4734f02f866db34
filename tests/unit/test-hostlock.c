/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image locks: against another process of ours, and against qemu-io where it is installed.
 */
#include "test.h"

#include "hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static const char *path; /* of a file that has no name but this */

/* The byte whose lock the kernel has no memory for; or 0. */
static off_t lost_byte;

int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (lost_byte && command == F_OFD_SETLK) {
		const struct flock *lock = argument;

		if (lock->l_start == lost_byte && lock->l_type != F_UNLCK) {
			errno = ENOLCK;
			return -1;
		}
	}
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

static int lock(struct hostfile **ret, enum hostfile_role role, struct imgfmt_error *reterr)
{
	bool writable = role == HOSTFILE_WRITER;
	struct hostfile *file;
	int r;

	CHECK_EQUAL(hostfile_create(open(path, writable ? O_RDWR : O_RDONLY), writable, &file), 0);
	r = hostfile_lock(file, role, reterr);
	if (r == 0)
		*ret = file;
	else
		hostfile_destroy(file);
	return r;
}

/* Is the lock refused, and does the message name it? */
static bool refused(enum hostfile_role role, const char *name)
{
	struct imgfmt_error error = { "" };
	struct hostfile *file;
	int r = lock(&file, role, &error);

	if (r == 0)
		hostfile_destroy(file);
	return r == -EBUSY && strstr(error.text, name) && strstr(error.text, "another process");
}

static struct hostfile *locked(enum hostfile_role role)
{
	struct hostfile *file;

	CHECK_EQUAL(lock(&file, role, NULL), 0);
	return file;
}

static void test_roles(void)
{
	struct hostfile *a, *b, *unlucky;

	a = locked(HOSTFILE_READER);
	b = locked(HOSTFILE_READER);
	CHECK(refused(HOSTFILE_WRITER, "Failed to get \"write\" lock"));
	/* A failed attempt leaves no lock behind that would refuse readers. */
	CHECK_EQUAL(hostfile_create(open(path, O_RDWR), true, &unlucky), 0);
	CHECK_EQUAL(hostfile_lock(unlucky, HOSTFILE_WRITER, NULL), -EBUSY);
	hostfile_destroy(locked(HOSTFILE_READER));
	hostfile_destroy(unlucky);
	hostfile_destroy(a);
	CHECK(refused(HOSTFILE_WRITER, "Failed to get \"write\" lock"));
	hostfile_destroy(b);

	a = locked(HOSTFILE_WRITER);
	CHECK(refused(HOSTFILE_WRITER, "Failed to get \"write\" lock"));
	CHECK(refused(HOSTFILE_READER, "Failed to get shared \"write\" lock"));
	hostfile_destroy(a);
	hostfile_destroy(locked(HOSTFILE_WRITER));
}

static void test_being_written(void)
{
	int fd = open(path, O_RDONLY);
	struct hostfile *user;

	CHECK_EQUAL(imgfmt_is_being_written(fd), 0);
	user = locked(HOSTFILE_READER);
	CHECK_EQUAL(imgfmt_is_being_written(fd), 0);
	hostfile_destroy(user);
	user = locked(HOSTFILE_WRITER);
	CHECK_EQUAL(imgfmt_is_being_written(fd), 1);
	hostfile_destroy(user);
	CHECK_EQUAL(imgfmt_is_being_written(fd), 0);
	close(fd);
}

/* Where there are locks, one that cannot be had is not taken for "there are none". */
static void test_lost(void)
{
	static const off_t bytes[] = { IMGFMT_LOCKS_END - 1, 101, 201 };

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct imgfmt_error error = { "" };
		struct hostfile *file;

		lost_byte = bytes[i];
		CHECK_EQUAL(lock(&file, HOSTFILE_WRITER, &error), -EIO);
		lost_byte = 0;
		CHECK(strstr(error.text, "Failed to lock byte"));
		hostfile_destroy(locked(HOSTFILE_WRITER));
	}
}

/* An exclusive lock of a stranger on one of the bytes. */
static void test_stranger(void)
{
	struct flock stranger = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1
	};
	int fd = open(path, O_RDWR);

	CHECK(fcntl(fd, F_OFD_SETLK, &stranger) == 0);
	CHECK(refused(HOSTFILE_READER, "byte 201"));
	close(fd);
	hostfile_destroy(locked(HOSTFILE_READER));
}

/* A process that dies has its locks taken away. */
static void test_other_process(void)
{
	int fds[2], status;
	char byte;
	pid_t pid;

	CHECK(pipe(fds) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		locked(HOSTFILE_WRITER);
		CHECK(write(fds[1], "l", 1) == 1);
		for (;;)
			pause();
	}
	close(fds[1]);
	CHECK(read(fds[0], &byte, 1) == 1);
	CHECK(refused(HOSTFILE_READER, "shared \"write\""));
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	hostfile_destroy(locked(HOSTFILE_WRITER));
	close(fds[0]);
}

/* ---- QEMU ---- */

struct qemu {
	pid_t pid;
	int in, out;
};

/* Start qemu-io on the file, reading its commands from a pipe. Returns false if there is none. */
static bool qemu_start(struct qemu *qemu, bool writable)
{
	char *arguments[] = { (char[]){ "qemu-io" },
			      (char[]){ "-f" },
			      (char[]){ "qcow2" },
			      strdup(path),
			      writable ? NULL : (char[]){ "-r" },
			      NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2], r;

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, out[1], 2);
	r = posix_spawnp(&qemu->pid, "qemu-io", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(arguments[3]);
	close(in[0]);
	close(out[1]);
	qemu->in = in[1];
	qemu->out = out[0];
	return r == 0;
}

/* Read what it says until @word comes, or the end. */
static bool qemu_says(struct qemu *qemu, const char *word)
{
	char said[4096] = "";
	size_t length = 0;

	while (length < sizeof(said) - 1) {
		ssize_t n = read(qemu->out, said + length, sizeof(said) - 1 - length);

		if (n <= 0)
			return false;
		length += (size_t)n;
		said[length] = '\0';
		if (strstr(said, word))
			return true;
	}
	return false;
}

static void qemu_end(struct qemu *qemu)
{
	int status;

	close(qemu->in);
	close(qemu->out);
	CHECK(waitpid(qemu->pid, &status, 0) == qemu->pid);
}

/* Does qemu-io get the image now? It says why not, in the words that we use too. */
static bool qemu_opens(bool writable)
{
	struct qemu qemu;
	bool opened;

	CHECK(qemu_start(&qemu, writable));
	opened = qemu_says(&qemu, "qemu-io> ");
	qemu_end(&qemu);
	return opened;
}

/* A qcow2 image of 64 KiB clusters and 1 MiB, nothing allocated: header, refcounts, L1. */
static void make_image(int fd)
{
	static const unsigned char header[72] = {
		'Q', 'F',       'I',         0xfb,     0,        0,        0,
		2,   [23] = 16, [29] = 0x10, [39] = 1, [45] = 3, [53] = 1, [59] = 1,
	};
	static const unsigned char refcounts[8] = { 0, 1, 0, 1, 0, 1, 0, 1 };
	static const unsigned char block_offset[8] = { [5] = 2 };
	CHECK(ftruncate(fd, 0x40000) == 0);
	CHECK(pwrite(fd, header, sizeof(header), 0) == sizeof(header));
	CHECK(pwrite(fd, block_offset, 8, 0x10000) == 8);
	CHECK(pwrite(fd, refcounts, 8, 0x20000) == 8);
}

static void test_qemu_second(void)
{
	struct hostfile *file = locked(HOSTFILE_READER);

	CHECK(qemu_opens(false));
	CHECK(!qemu_opens(true));
	hostfile_destroy(file);
	CHECK(qemu_opens(true));
	file = locked(HOSTFILE_WRITER);
	CHECK(!qemu_opens(false));
	CHECK(!qemu_opens(true));
	hostfile_destroy(file);
}

static void test_qemu_first(void)
{
	struct qemu qemu;

	CHECK(qemu_start(&qemu, false));
	CHECK(qemu_says(&qemu, "qemu-io> "));
	CHECK(refused(HOSTFILE_WRITER, "Failed to get \"write\" lock"));
	hostfile_destroy(locked(HOSTFILE_READER));
	qemu_end(&qemu);

	CHECK(qemu_start(&qemu, true));
	CHECK(qemu_says(&qemu, "qemu-io> "));
	CHECK(refused(HOSTFILE_WRITER, "Failed to get \"write\" lock"));
	CHECK(refused(HOSTFILE_READER, "Failed to get shared \"write\" lock"));
	qemu_end(&qemu);
	hostfile_destroy(locked(HOSTFILE_WRITER));
}

/* ---- many at once ---- */

#define RACERS 2
#define RACES  5000u

struct race {
	pthread_barrier_t end;
	atomic_uint arrived, winners;
};

static void *compete(void *userdata)
{
	struct race *race = userdata;

	for (unsigned int i = 0; i < RACES; i++) {
		struct imgfmt_error error;
		struct hostfile *file = NULL;

		/* closer together than the kernel wakes them */
		race->arrived++;
		while (race->arrived < (i + 1) * RACERS)
			sched_yield();
		if (lock(&file, HOSTFILE_WRITER, &error) == 0)
			race->winners++;
		else
			file = NULL;
		/* nobody lets go before all have tried */
		pthread_barrier_wait(&race->end);
		hostfile_destroy(file);
	}
	return NULL;
}

/* Of those who come at the same time exactly one gets it. */
static void test_race(void)
{
	pthread_t racers[RACERS];
	struct race race = { .winners = 0 };

	CHECK_EQUAL(pthread_barrier_init(&race.end, NULL, RACERS), 0);
	for (unsigned int i = 0; i < RACERS; i++)
		CHECK_EQUAL(pthread_create(&racers[i], NULL, compete, &race), 0);
	for (unsigned int i = 0; i < RACERS; i++)
		pthread_join(racers[i], NULL);
	CHECK_EQUAL(race.winners, RACES);
	pthread_barrier_destroy(&race.end);
}

int main(void)
{
	int fd = test_disk_file();
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)getpid(), fd);
	path = name;
	test_roles();
	test_being_written();
	test_lost();
	test_stranger();
	test_other_process();
	test_race();
	if (system("qemu-io --version >/dev/null 2>&1") != 0) {
		printf("qemu-io is not installed: not tried against it\n");
		return 0;
	}
	make_image(fd);
	test_qemu_second();
	test_qemu_first();
	return 0;
}
