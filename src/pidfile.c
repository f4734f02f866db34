/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing, locking and removing the pid file.
 */
#include "pidfile.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does the open file hold a process id, or nothing at all? */
static bool is_replaceable(int fd)
{
	char text[32];
	ssize_t length = pread(fd, text, sizeof(text), 0);

	if (length < 0 || length == sizeof(text))
		return false;
	for (ssize_t i = 0; i < length; i++)
		if (text[i] == '\0' || !strchr("0123456789 \n", text[i]))
			return false;
	return true;
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
	fd = open(pidfile->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return imgfmt_error_set(reterr, -errno, "cannot be written: %s", strerror(errno));
	return claim(fd, reterr);
}

bool pidfile_is(const struct pidfile *pidfile, const char *path)
{
	struct stat ours, there;

	return stat(pidfile->path, &ours) == 0 && stat(path, &there) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

int pidfile_write(struct pidfile *pidfile, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;
	char text[32];
	int length, r;

	if (!pidfile->path)
		return 0;
	fd = open(pidfile->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		  0644);
	if (fd < 0)
		return imgfmt_error_set(reterr, -errno, "cannot be written: %s", strerror(errno));
	r = claim(fd, reterr);
	if (r < 0)
		return r;
	length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)length, 0) != length)
		return imgfmt_error_set(reterr, -EIO, "cannot be written: %s", strerror(errno));
	pidfile->fd = steal_fd(&fd);
	return 0;
}

static bool names(int fd, pid_t pid)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == pid;
}

void pidfile_take_over(struct pidfile *pidfile, pid_t dead)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_close_ int fd = -1;

	if (!pidfile->path || pidfile->fd >= 0)
		return;
	fd = open(pidfile->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	/* wait: the dead one may still be about to let go of it */
	if (fd >= 0 && names(fd, dead) && fcntl(fd, F_OFD_SETLKW, &lock) == 0 && names(fd, dead))
		pidfile->fd = steal_fd(&fd);
}

void pidfile_finish(struct pidfile *pidfile)
{
	struct stat ours, there;

	if (pidfile->fd >= 0) {
		if (fstat(pidfile->fd, &ours) == 0 && lstat(pidfile->path, &there) == 0 &&
		    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
			unlink(pidfile->path);
		close(pidfile->fd);
	}
	free(pidfile->path);
	*pidfile = (struct pidfile)PIDFILE_NONE;
}
