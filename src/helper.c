/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread with a set of jobs in place of a queue: asking twice for what has not begun is asking
 * once.
 */
#include "helper.h"

#include "cleanup.h"
#include "lock.h"
#include "log.h"
#include "mountinfo.h"
#include "unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Open the root of our mount without opening the file, or return -ENOENT where the mount is not
 * (or no longer) at its path: what is there then may well be the image itself.
 */
static int open_mount(const struct session *session)
{
	_cleanup_close_ int fd = open(session->mountpoint, O_PATH | O_CLOEXEC);
	struct stat st;

	/* this also makes the kernel ask for the attributes */
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != session->mount.device)
		return -ENOENT;
	return steal_fd(&fd);
}

/* Open our mount for reading, or return -1. */
static int open_for_reading(const struct session *session)
{
	_cleanup_close_ int fd = open(session->mountpoint, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != session->mount.device)
		return -1;
	return steal_fd(&fd);
}

/*
 * Be the one whom the kernel tells of an error that it keeps for the next to ask. Not while somebody
 * writes, who may be about to cause an error of his own: it would be taken from him.
 */
static void take_error(const struct session *session)
{
	struct export_inode *inode = session->inode;
	_cleanup_close_ int fd = -1;

	if (inode->writers > 0 || !atomic_exchange(&inode->refused, false))
		return;
	fd = open_for_reading(session);
	if (fd >= 0)
		fsync(fd);
}

/*
 * Under the write-back cache the size is the kernel's business: it starts as 0, follows cached
 * writes beyond the end, and is taken from us only in the answer to a change of the size. That
 * answer is always the true size, see export_set_attributes().
 */
static int prime(struct session *session)
{
	_cleanup_close_ int fd = open_mount(session);
	struct export_inode *inode = session->inode;
	char path[64];

	if (fd < 0)
		return fd;
	if (inode->cache != CACHE_WRITEBACK)
		return 0;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	if (truncate(path, (off_t)imgfmt_size(inode->image)) < 0)
		return -errno;
	/* the kernel now believes that the file has changed; at first it has not */
	if (!inode->usable) {
		struct stat st;

		export_get_attributes(inode, &st);
		if (utimensat(AT_FDCWD, path, (struct timespec[]){ st.st_atim, st.st_mtim }, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Write back what the handles that keep the mount busy have dirtied; a plain umount would have. */
static void sync_mount(const struct session *session)
{
	_cleanup_close_ int fd = open_for_reading(session);

	if (fd >= 0)
		syncfs(fd);
}

static int unmount(struct session *session, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	int r;

	/* its path may have been renamed, and another may be there */
	r = mountinfo_find_identity(&session->mount, &entry);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read /proc/self/mountinfo: %s",
					strerror(-r));
	r = unmount_path(entry.target, false, reterr);
	if (r != -EBUSY)
		return r;
	sync_mount(session);
	r = unmount_path(entry.target, true, reterr);
	return r < 0 ? r : -EBUSY;
}

static void do_jobs(struct helper *helper, unsigned int jobs)
{
	if (jobs & HELPER_TAKE_ERROR)
		take_error(helper->session);
	if (jobs & HELPER_PRIME)
		helper->prime_result = prime(helper->session);
	if (jobs & HELPER_UNMOUNT)
		helper->unmount_result = unmount(helper->session, &helper->unmount_error);
	if (jobs & HELPER_SYNC)
		sync();
}

/*
 * Get a table of descriptors of our own, with nothing of the process in it but the event. Above all not
 * the kernel's end of the session: when the process is killed while this thread waits for an answer
 * through the mount, nobody else must be left who holds that end. The kernel would wait for an answer
 * for ever, and this thread with it, and so would everybody who touches the mount. And not what main
 * closes when it goes to the background: somebody waits for the end of it.
 */
static void leave_process(const struct helper *helper)
{
	unsigned int event_fd = (unsigned int)helper->event_fd;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || unshare(CLONE_FILES) < 0) {
		log_verbose("the helper shares its descriptors: %s", strerror(errno));
		return;
	}
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (event_fd > 3)
		close_range(3, event_fd - 1, 0);
	close_range(event_fd + 1, ~0U, 0);
}

static void *work(void *userdata)
{
	struct helper *helper = userdata;
	unsigned int jobs = 0;
	uint64_t one = 1;

	helper->session->inode->primer = gettid();
	leave_process(helper);
	mutex_lock(&helper->lock);
	helper->apart = true;
	pthread_cond_signal(&helper->posted_cond);
	mutex_unlock(&helper->lock);
	while (!(jobs & HELPER_QUIT)) {
		mutex_lock(&helper->lock);
		while (!helper->posted)
			pthread_cond_wait(&helper->posted_cond, &helper->lock);
		jobs = helper->posted;
		helper->posted = 0;
		mutex_unlock(&helper->lock);

		do_jobs(helper, jobs);

		mutex_lock(&helper->lock);
		helper->done |= jobs;
		mutex_unlock(&helper->lock);
		if (write(helper->event_fd, &one, sizeof(one)) < 0)
			abort(); /* main takes the events long before there are 2^64 */
	}
	return NULL;
}

static void post_prime(void *userdata)
{
	helper_post(userdata, HELPER_PRIME);
}

static void post_take_error(void *userdata)
{
	helper_post(userdata, HELPER_TAKE_ERROR);
}

int helper_start(struct helper *helper, struct session *session)
{
	int r;

	*helper = (struct helper){ .session = session };
	pthread_mutex_init(&helper->lock, NULL);
	pthread_cond_init(&helper->posted_cond, NULL);
	helper->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (helper->event_fd < 0)
		return -errno;
	session->inode->correct_size = post_prime;
	session->inode->take_error = post_take_error;
	session->inode->userdata = helper;
	r = pthread_create(&helper->thread, NULL, work, helper);
	if (r != 0) {
		close(helper->event_fd);
		return -r;
	}
	/* before there are others, who get ends of the session of their own */
	mutex_lock(&helper->lock);
	while (!helper->apart)
		pthread_cond_wait(&helper->posted_cond, &helper->lock);
	mutex_unlock(&helper->lock);
	return 0;
}

void helper_post(struct helper *helper, unsigned int jobs)
{
	LOCKED(&helper->lock);
	helper->posted |= jobs;
	pthread_cond_signal(&helper->posted_cond);
}

unsigned int helper_take(struct helper *helper)
{
	uint64_t count;
	unsigned int jobs;

	if (read(helper->event_fd, &count, sizeof(count)) < 0)
		return 0;
	LOCKED(&helper->lock);
	jobs = helper->done;
	helper->done = 0;
	return jobs;
}

void helper_finish(struct helper *helper)
{
	helper_post(helper, HELPER_QUIT);
	pthread_join(helper->thread, NULL);
	close(helper->event_fd);
	pthread_cond_destroy(&helper->posted_cond);
	pthread_mutex_destroy(&helper->lock);
}
