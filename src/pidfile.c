/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing, locking and removing the pid file.
 */
#include "pidfile.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is as long as this is no process id, whatever follows it. */
#define ID_MAX 32

/* How often, and how far apart in ms, the lock of one who was killed is tried for. */
#define LOCK_ATTEMPTS 100
#define LOCK_INTERVAL 10

/* Does the open file hold a process id, or nothing at all? */
static bool is_replaceable(int fd)
{
	char text[ID_MAX];
	ssize_t length = pread(fd, text, sizeof(text), 0);

	if (length < 0 || length == sizeof(text))
		return false;
	for (ssize_t i = 0; i < length; i++)
		if (text[i] == '\0' || !strchr("0123456789 \n", text[i]))
			return false;
	return true;
}

/* Open what may be a pid file; what else it is, claim() finds. Returns -errno too. */
static int open_path(const char *path, int flags, struct imgfmt_error *reterr)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags, 0644);

	if (fd >= 0)
		return fd;
	if (errno == ELOOP)
		return imgfmt_error_set(reterr, -errno,
					"is a symbolic link, which is not followed");
	return imgfmt_error_set(reterr, -errno, "cannot be written: %s", strerror(errno));
}

/* Check that the open file is one to write to, and lock it. */
static int claim(int fd, struct imgfmt_error *reterr)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return imgfmt_error_set(reterr, -EINVAL, "is not a regular file");
	if (!is_replaceable(fd))
		return imgfmt_error_set(reterr, -EEXIST,
					"holds something else than a process id; not overwritten");
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return imgfmt_error_set(reterr, -EBUSY, "is the pid file of a running process");
	return 0;
}

int pidfile_init(struct pidfile *pidfile, const char *path, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *copy = strdup(path), *base = strdup(path), *directory = NULL;
	_cleanup_close_ int fd = -1;

	if (!copy || !base)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	directory = realpath(dirname(copy), NULL);
	if (!directory || access(directory, W_OK | X_OK) < 0)
		return imgfmt_error_set(reterr, -errno, "cannot be written: %s", strerror(errno));
	if (asprintf(&pidfile->path, "%s/%s", directory, basename(base)) < 0) {
		pidfile->path = NULL;
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	}
	fd = open_path(pidfile->path, 0, reterr);
	return fd == -ENOENT ? 0 : fd < 0 ? fd : claim(fd, reterr);
}

bool pidfile_is(const struct pidfile *pidfile, const char *path)
{
	struct stat ours, there;

	return stat(pidfile->path, &ours) == 0 && stat(path, &there) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* Over all that is_replaceable() permits, so that it never says anything else. */
static int write_pid(int fd)
{
	char text[ID_MAX];
	int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	ssize_t n;

	memset(text + length, '\n', sizeof(text) - (size_t)length);
	n = pwrite(fd, text, sizeof(text) - 1, 0);
	if (n != sizeof(text) - 1)
		return n < 0 ? -errno : -ENOSPC;
	return ftruncate(fd, length) < 0 ? -errno : 0;
}

/* Remove the file that is open as @fd, unless its name is another one's by now. */
static void remove_file(const char *path, int fd)
{
	struct stat ours, there;

	if (fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
	    ours.st_ino == there.st_ino)
		unlink(path);
}

int pidfile_write(struct pidfile *pidfile, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!pidfile->path)
		return 0;
	fd = open_path(pidfile->path, O_CREAT, reterr);
	if (fd < 0)
		return fd;
	r = claim(fd, reterr);
	if (r < 0)
		return r;
	r = write_pid(fd);
	if (r < 0) {
		/* nobody's id is in it, so nobody would remove it */
		remove_file(pidfile->path, fd);
		return imgfmt_error_set(reterr, r, "cannot be written: %s", strerror(-r));
	}
	pidfile->fd = steal_fd(&fd);
	return 0;
}

static bool names(int fd, pid_t pid)
{
	char text[ID_MAX] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == pid;
}

/*
 * The dead one may still be about to let go of its lock. But whoever may read the file may also
 * lock it, and hold that for ever.
 */
static void lock_if_possible(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	for (int i = 0; i < LOCK_ATTEMPTS && fcntl(fd, F_OFD_SETLK, &lock) < 0; i++)
		poll(NULL, 0, LOCK_INTERVAL);
}

void pidfile_take_over(struct pidfile *pidfile, pid_t dead)
{
	struct imgfmt_error why;

	if (!pidfile->path)
		return;
	if (pidfile->fd < 0) {
		_cleanup_close_ int fd = open_path(pidfile->path, 0, &why);

		if (fd >= 0 && names(fd, dead))
			lock_if_possible(fd);
		if (fd >= 0 && names(fd, dead))
			pidfile->fd = steal_fd(&fd);
	}
	if (pidfile->fd >= 0)
		write_pid(pidfile->fd);
}

void pidfile_finish(struct pidfile *pidfile)
{
	if (pidfile->fd >= 0) {
		remove_file(pidfile->path, pidfile->fd);
		close(pidfile->fd);
	}
	free(pidfile->path);
	*pidfile = (struct pidfile)PIDFILE_NONE;
}
