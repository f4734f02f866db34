/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A memfd with one struct in it, and another one behind that; see outcome.h. */
#include "outcome.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Where in the file the family is. */
#define FAMILY_OFFSET ((off_t)sizeof(struct outcome))

int outcome_create(void)
{
	return memfd_create("outcome", MFD_CLOEXEC);
}

static int open_again(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

void outcome_protect(int fd)
{
	_cleanup_close_ int readable = open_again(fd);

	if (readable < 0 || dup3(readable, fd, O_CLOEXEC) < 0)
		close(fd);
}

void outcome_write(int fd, int result, const char *text)
{
	struct outcome outcome = { .version = OUTCOME_VERSION, .result = result };

	stpncpy(outcome.text, text, sizeof(outcome.text) - 1);
	if (pwrite(fd, &outcome, sizeof(outcome), 0) < 0)
		log_verbose("cannot leave word of the end: %s", strerror(errno));
}

void outcome_write_family(int fd, const struct family *family)
{
	if (pwrite(fd, family, sizeof(*family), FAMILY_OFFSET) < 0)
		log_verbose("cannot leave word of our processes: %s", strerror(errno));
}

/*
 * Is it one of ours? All files in memory are on one file system, which nobody can mount or serve:
 * what is not on it may be one that never answers, so only the kernel is asked.
 */
static bool is_outcome(int fd, uid_t user)
{
	_cleanup_close_ int own = outcome_create();
	struct statx stx;
	struct stat st;

	return own >= 0 && fstat(own, &st) == 0 &&
	       statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stx) == 0 &&
	       makedev(stx.stx_dev_major, stx.stx_dev_minor) == st.st_dev &&
	       S_ISREG(stx.stx_mode) && stx.stx_uid == user;
}

/* A server has one file in memory that it can write to, see lastwords.c. */
static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals < 0 || seals & (F_SEAL_SHRINK | F_SEAL_GROW);
}

int outcome_open(pid_t pid, int fd, uid_t user)
{
	_cleanup_close_ int found = -1, opened = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	found = open(path, O_PATH | O_CLOEXEC);
	if (found < 0)
		return -errno;
	if (!is_outcome(found, user))
		return -EBADF;
	opened = open_again(found);
	if (opened < 0)
		return opened;
	return is_sealed(opened) ? -EBADF : steal_fd(&opened);
}

int outcome_read_family(int fd, struct family *ret)
{
	struct family family;

	if (pread(fd, &family, sizeof(family), FAMILY_OFFSET) != sizeof(family) ||
	    family.version != FAMILY_VERSION)
		return -ENODATA;
	*ret = family;
	return 0;
}

int outcome_read(int fd, struct outcome *ret)
{
	struct outcome outcome;

	if (pread(fd, &outcome, sizeof(outcome), 0) != sizeof(outcome) ||
	    outcome.version != OUTCOME_VERSION)
		return -ENODATA;
	outcome.text[sizeof(outcome.text) - 1] = '\0';
	if (outcome.result > 0) /* none of ours says so */
		outcome.result = -EIO;
	*ret = outcome;
	return 0;
}
