/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each thread reads a request from its own descriptor, has libfuse call the handler, and answers
 * through the same descriptor, as the kernel wants it: libfuse is told to write through a function
 * of ours, which knows the thread's descriptor.
 */
#include "workers.h"

#include "lock.h"
#include "log.h"
#include "operations.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* What interrupts the wait for a request. */
#define WAKE_SIGNAL SIGUSR1

/*
 * How many threads wait in poll(2) rather than in read(2). Of those that wait in read(2) the kernel
 * wakes one for each request, the one that has waited longest, wherever that ran. In poll(2) it
 * wakes all, and one that finds itself on the processor of who asked, who sleeps now, has the
 * request before another processor is awake. With more threads than these that would be a crowd.
 */
#define POLLERS 4

/* How often those who wait are interrupted until they notice, in ms. */
#define WAKE_INTERVAL 20

/* The largest request, and what the kernel puts before its data. */
#define BUFFER_SIZE (OPERATIONS_MAX_WRITE + 4096)

struct worker {
	struct workers *workers;
	pthread_t thread;
	int device; /* its end of the connection */
	void *buffer;
};

struct workers {
	struct fuse_session *fuse;
	int ended_fd;
	pthread_mutex_t lock; /* protects what follows, up to result */
	pthread_cond_t changed;
	bool released;
	unsigned int waiting; /* for that */
	unsigned int running;
	int result;           /* the first failure */
	unsigned int created; /* threads of the list; changes only while none takes requests */
	unsigned int count;
	struct worker list[];
};

/* ---- in the threads ---- */

static _Thread_local int own_device;

static ssize_t read_device(int fd, void *buffer, size_t count, void *userdata)
{
	(void)fd;
	(void)userdata;
	return read(own_device, buffer, count);
}

static ssize_t write_device(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)fd;
	(void)userdata;
	return writev(own_device, iov, count);
}

static const struct fuse_custom_io device_io = {
	.read = read_device,
	.writev = write_device,
};

/* As read(2), but it may be interrupted. */
static ssize_t read_request(const struct worker *worker)
{
	struct pollfd device = { .fd = worker->device, .events = POLLIN };
	ssize_t n;

	do {
		n = read(worker->device, worker->buffer, BUFFER_SIZE);
		if (n >= 0 || errno != EAGAIN)
			return n;
	} while (poll(&device, 1, -1) >= 0);
	return n;
}

static int take_requests(struct worker *worker)
{
	struct fuse_session *fuse = worker->workers->fuse;

	while (!fuse_session_exited(fuse)) {
		ssize_t n = read_request(worker);
		const struct fuse_buf request = { .mem = worker->buffer, .size = (size_t)n };

		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			fuse_session_process_buf(fuse, &request);
		else if (n >= 0)
			return -EIO;
		else if (errno == ENODEV) /* unmounted, or aborted */
			return 0;
		else if (errno != EINTR && errno != ENOENT)
			return -errno;
		/* ENOENT: who asked has given up meanwhile */
	}
	return 0;
}

static void wait_for_release(struct workers *workers)
{
	LOCKED(&workers->lock);
	workers->waiting++;
	pthread_cond_broadcast(&workers->changed);
	while (!workers->released)
		pthread_cond_wait(&workers->changed, &workers->lock);
}

static void wake_all(const struct workers *workers)
{
	for (unsigned int i = 0; i < workers->created; i++)
		pthread_kill(workers->list[i].thread, WAKE_SIGNAL);
}

static bool is_last(struct workers *workers, int r)
{
	uint64_t one = 1;

	LOCKED(&workers->lock);
	if (workers->result == 0)
		workers->result = r;
	workers->running--;
	if (workers->running > 0)
		return false;
	if (write(workers->ended_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd that nobody else writes to has room */
	return true;
}

/*
 * Tell all to end, and return false; or true when all have ended, from when on they are joined and
 * no signal may be sent to them.
 */
static bool stop_unless_ended(struct workers *workers)
{
	LOCKED(&workers->lock);
	if (workers->running == 0)
		return true;
	fuse_session_exit(workers->fuse);
	wake_all(workers);
	return false;
}

static void *work(void *userdata)
{
	struct worker *worker = userdata;
	struct workers *workers = worker->workers;
	sigset_t wake;
	int r;

	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	own_device = worker->device;
	wait_for_release(workers);
	r = take_requests(worker);
	if (is_last(workers, r) || r == 0)
		return NULL;
	/* a failure of one is the end of all */
	while (!stop_unless_ended(workers))
		poll(NULL, 0, WAKE_INTERVAL);
	return NULL;
}

/* ---- outside ---- */

/* Another end of the connection; where the kernel has none, another descriptor of the same end. */
static int open_device(struct fuse_session *fuse)
{
	int fuse_fd = fuse_session_fd(fuse);
	uint32_t connection = (uint32_t)fuse_fd;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, FUSE_DEV_IOC_CLONE, &connection) == 0)
		return fd;
	log_verbose("the threads share one end of the connection: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	fd = fcntl(fuse_fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int open_worker(struct workers *workers, struct worker *worker)
{
	worker->workers = workers;
	worker->buffer = malloc(BUFFER_SIZE);
	if (!worker->buffer)
		return -ENOMEM;
	worker->device = open_device(workers->fuse);
	if (worker->device < 0)
		return worker->device;
	if (worker < workers->list + POLLERS)
		fcntl(worker->device, F_SETFL, O_RDWR | O_NONBLOCK);
	return 0;
}

static void ignore_signal(int signal)
{
	(void)signal;
}

/* It must interrupt, so no SA_RESTART; and only those who take requests. */
static void prepare_wake_signal(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	sigset_t wake;

	sigaction(WAKE_SIGNAL, &action, NULL);
	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &wake, NULL);
}

int workers_create(struct fuse_session *fuse, unsigned int count, int ended_fd,
		   struct workers **ret)
{
	struct workers *workers = calloc(1, sizeof(*workers) + count * sizeof(workers->list[0]));
	int r;

	if (!workers)
		return -ENOMEM;
	workers->fuse = fuse;
	workers->ended_fd = ended_fd;
	workers->count = workers->running = count;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->changed, NULL);
	for (unsigned int i = 0; i < count; i++)
		workers->list[i].device = -1;
	r = fuse_session_custom_io(fuse, &device_io, fuse_session_fd(fuse));
	for (unsigned int i = 0; r == 0 && i < count; i++)
		r = open_worker(workers, &workers->list[i]);
	if (r < 0) {
		workers_destroy(workers);
		return r;
	}
	*ret = workers;
	return 0;
}

static void wait_for_all(struct workers *workers)
{
	LOCKED(&workers->lock);
	while (workers->waiting < workers->count)
		pthread_cond_wait(&workers->changed, &workers->lock);
}

static void join_all(struct workers *workers)
{
	for (unsigned int i = 0; i < workers->created; i++)
		pthread_join(workers->list[i].thread, NULL);
	workers->created = 0;
}

int workers_start(struct workers *workers)
{
	int r = 0;

	prepare_wake_signal();
	while (r == 0 && workers->created < workers->count) {
		struct worker *worker = &workers->list[workers->created];

		r = -pthread_create(&worker->thread, NULL, work, worker);
		if (r == 0)
			workers->created++;
	}
	if (r == 0) {
		wait_for_all(workers);
		return 0;
	}
	workers_stop(workers);
	join_all(workers);
	return r;
}

void workers_release(struct workers *workers)
{
	LOCKED(&workers->lock);
	workers->released = true;
	pthread_cond_broadcast(&workers->changed);
}

void workers_stop(struct workers *workers)
{
	fuse_session_exit(workers->fuse);
	workers_release(workers);
	wake_all(workers);
}

int workers_destroy(struct workers *workers)
{
	int r;

	join_all(workers);
	for (unsigned int i = 0; i < workers->count; i++) {
		if (workers->list[i].device >= 0)
			close(workers->list[i].device);
		free(workers->list[i].buffer);
	}
	r = workers->result;
	pthread_cond_destroy(&workers->changed);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
	return r;
}
