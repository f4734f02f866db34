/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sandbox permits, tried from inside: all that serving takes, in all threads, and not one
 * system call more than HACKING.md says.
 */
#include "in-sandbox.h"

#include "callfilter.h"

#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

static int file; /* an ordinary file of 64 KiB, open for reading and writing */
static int event_fd;
static int channel[2]; /* a socket pair */

/* ---- one thread ---- */

static int use_file(void)
{
	char bytes[512] = "x";
	struct iovec iov[2] = { { bytes, 256 }, { bytes + 256, 256 } };
	struct statfs fs;
	struct stat st;
	uint64_t size;

	CHECK_EQUAL(pwrite(file, bytes, sizeof(bytes), 4096), sizeof(bytes));
	CHECK_EQUAL(pwritev(file, iov, 2, 8192), sizeof(bytes));
	CHECK_EQUAL(pread(file, bytes, sizeof(bytes), 4096), sizeof(bytes));
	CHECK_EQUAL(preadv(file, iov, 2, 8192), sizeof(bytes));
	CHECK_EQUAL(writev(file, iov, 2), sizeof(bytes));
	CHECK_EQUAL(lseek(file, 0, SEEK_DATA), 0);
	CHECK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 ||
	      errno == EOPNOTSUPP);
	CHECK_EQUAL(ftruncate(file, 65536), 0);
	CHECK_EQUAL(fdatasync(file), 0);
	CHECK_EQUAL(fstat(file, &st), 0);
	CHECK_EQUAL(st.st_size, 65536);
	CHECK_EQUAL(fstatfs(file, &fs), 0);
	/* asked, and answered by the file */
	CHECK(ioctl(file, BLKGETSIZE64, &size) < 0 && errno == ENOTTY);
	CHECK(ioctl(file, BLKDISCARD, (uint64_t[2]){ 0, 512 }) < 0 && errno == ENOTTY);
	CHECK_EQUAL(close(file), 0);
	return 0;
}

static int use_memory(void)
{
	for (size_t size = 16; size <= (16U << 20); size *= 2) {
		char *memory = malloc(size);

		CHECK(memory);
		memset(memory, 1, size);
		memory = realloc(memory, size * 3);
		CHECK(memory);
		memset(memory, 2, size * 3);
		free(memory);
	}
	return 0;
}

static int use_clocks_and_events(void)
{
	struct pollfd event = { .fd = file, .events = POLLIN };
	struct timespec now;

	/* not the one that takes no call */
	CHECK_EQUAL(syscall(SYS_clock_gettime, CLOCK_REALTIME, &now), 0);
	CHECK_EQUAL(poll(&event, 1, 1), 1);
	CHECK_EQUAL(ppoll(&event, 1, NULL, NULL), 1);
	CHECK(write(event_fd, &(uint64_t){ 1 }, sizeof(uint64_t)) == sizeof(uint64_t));
	CHECK(fprintf(stderr, "%s", "") == 0);
	return 0;
}

static int use_channel(void)
{
	struct sockaddr_un nobody = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	char byte = 'x';

	CHECK_EQUAL(send(channel[0], &byte, 1, MSG_NOSIGNAL), 1);
	CHECK_EQUAL(recv(channel[1], &byte, 1, 0), 1);
	CHECK(sendto(channel[0], &byte, 1, 0, (struct sockaddr *)&nobody, sizeof(nobody)) < 0);
	CHECK_EQUAL(errno, ENOSYS);
	return 0;
}

static int compare_bytes(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

/* It asks for memory, and before that how much there is. */
static int sort_much(void)
{
	static char bytes[1 << 16];

	memset(bytes, 1, sizeof(bytes) / 2);
	qsort(bytes, sizeof(bytes), 1, compare_bytes);
	CHECK_EQUAL(bytes[0], 0);
	return 0;
}

static int fail_an_assertion(void)
{
	abort();
}

static void test_needed(void)
{
	static const struct attempt attempts[] = {
		{ "files", use_file, 0 },
		{ "memory", use_memory, 0 },
		{ "clocks and events", use_clocks_and_events, 0 },
		{ "the channel", use_channel, 0 },
		{ "sorting", sort_much, 0 },
		{ "abort", fail_an_assertion, -SIGABRT },
	};

	TRY(SEALED, attempts);
}

/* The state of a process, as /proc/PID/stat has it behind the name. */
static char state_of(pid_t pid)
{
	char path[64], text[256];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	CHECK(length > 0);
	text[length] = '\0';
	CHECK(strrchr(text, ')'));
	return strrchr(text, ')')[2];
}

/* A wait that is interrupted by SIGSTOP is gone on with by a call of its own. */
static void test_stopped(void)
{
	int pipes[2], status;
	pid_t pid;

	CHECK(pipe(pipes) == 0);
	pid = fork();
	if (pid == 0) {
		struct pollfd event = { .fd = pipes[0], .events = POLLIN };

		sandbox_begin("test");
		sandbox_seal("test");
		_exit(poll(&event, 1, 60000) == 1 ? 0 : 1);
	}
	while (state_of(pid) != 'S')
		sched_yield();
	CHECK(kill(pid, SIGSTOP) == 0);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	while (state_of(pid) != 'S' && state_of(pid) != 'Z')
		sched_yield();
	CHECK(write(pipes[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- threads ---- */

static pthread_barrier_t started, sealed;

static void ignore_signal(int signal)
{
	(void)signal;
}

/* What a thread can do that was created between the two steps: everything that it needs. */
static void *live(void *userdata)
{
	bool *good = userdata;

	pthread_barrier_wait(&started);
	pthread_barrier_wait(&sealed);
	use_memory();
	*good = open("/etc/passwd", O_RDONLY) < 0 && errno == ENOSYS;
	return NULL;
}

static void test_threads(void)
{
	pid_t pid = fork();
	pthread_t threads[3];
	bool good[3];
	int status;

	if (pid > 0) {
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		return;
	}
	signal(SIGUSR1, ignore_signal);
	sandbox_begin("test");
	pthread_barrier_init(&started, NULL, 4);
	pthread_barrier_init(&sealed, NULL, 4);
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, live, &good[i]) == 0);
	pthread_barrier_wait(&started);
	sandbox_seal("test");
	CHECK(pthread_kill(threads[0], SIGUSR1) == 0);
	pthread_barrier_wait(&sealed);
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0 && good[i]);
	_exit(0);
}

/* ---- how many calls ---- */

/* Every number that a call of this kernel may have. */
#define NUMBERS 512

struct sweep {
	int next; /* the number that is tried next */
	bool left[NUMBERS];
};

/* uretprobe and uprobe: from the kernel's own trampolines, and let through by every filter. */
static bool is_the_kernels_own(int number)
{
#ifdef __x86_64__
	return number == 335 || number == 336;
#else
	(void)number;
	return false;
#endif
}

/* A call that does nothing, but gets past what the filter asks of its arguments. */
static long call_harmlessly(int number)
{
	static char buffer[256];

	switch (number) {
	case SYS_ioctl:
		return syscall(number, -1, BLKGETSIZE64, 0);
	case SYS_newfstatat:
		return syscall(number, -1, "", buffer, AT_EMPTY_PATH);
	case SYS_tgkill:
		return syscall(number, getpid(), -1, 0);
	case SYS_ppoll:
		return syscall(number, 0, 0, 1, 0, 0); /* at a bad address */
	}
	return syscall(number, 0, 0, 0, 0, 0, 0);
}

/* Try all numbers from sweep->next on, until one ends this process. */
static void try_numbers(struct sweep *sweep)
{
	sandbox_begin("test");
	sandbox_seal("test");
	while (sweep->next < NUMBERS) {
		int number = sweep->next++;

		if (is_the_kernels_own(number))
			continue;
		sweep->left[number] = true; /* it may end us */
		if (call_harmlessly(number) < 0 && errno == ENOSYS)
			sweep->left[number] = false;
	}
	_exit(0);
}

/* The number that a document gives. */
static unsigned int stated_count(const char *path)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY);
	const char *found;
	ssize_t length;

	CHECK(fd >= 0);
	length = read(fd, text, sizeof(text) - 1);
	CHECK(length > 0);
	close(fd);
	found = strstr(text, " system calls are left");
	CHECK(found);
	while (found > text && found[-1] >= '0' && found[-1] <= '9')
		found--;
	return (unsigned int)strtoul(found, NULL, 10);
}

/* The kernel, the table and the documents agree on how many calls are left. */
static void test_count(char **documents)
{
	struct sweep *sweep = mmap(NULL, sizeof(*sweep), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int count = 0;

	CHECK(sweep != MAP_FAILED);
	while (sweep->next < NUMBERS) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			try_numbers(sweep);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
			sweep->left[sweep->next - 1] = false;
	}
	for (int i = 0; i < NUMBERS; i++)
		count += sweep->left[i];
	CHECK_EQUAL(count, callfilter_count());
	for (; *documents; documents++)
		CHECK_EQUAL(stated_count(*documents), count);
	munmap(sweep, sizeof(*sweep));
}

int main(int argc, char **argv)
{
	CHECK(argc >= 1);
	if (callfilter_count() == 0) {
		puts("no filter of system calls: built without libseccomp");
		return TEST_SKIPPED;
	}
	file = test_disk_file();
	CHECK(ftruncate(file, 65536) == 0);
	event_fd = eventfd(0, EFD_CLOEXEC);
	CHECK(event_fd >= 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0);
	test_needed();
	test_stopped();
	test_threads();
	test_count(argv + 1);
	return 0;
}
