/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A memfd with one struct in it; see outcome.h. */
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

int outcome_create(void)
{
	return memfd_create("outcome", MFD_CLOEXEC);
}

void outcome_write(int fd, int result, const char *text)
{
	struct outcome outcome = { .version = OUTCOME_VERSION, .result = result };

	stpncpy(outcome.text, text, sizeof(outcome.text) - 1);
	if (pwrite(fd, &outcome, sizeof(outcome), 0) < 0)
		log_verbose("cannot leave word of the end: %s", strerror(errno));
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

int outcome_open(pid_t pid, int fd, uid_t user)
{
	_cleanup_close_ int found = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	found = open(path, O_PATH | O_CLOEXEC);
	if (found < 0)
		return -errno;
	if (!is_outcome(found, user))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int outcome_read(int fd, struct outcome *ret)
{
	struct outcome outcome;

	if (pread(fd, &outcome, sizeof(outcome), 0) != sizeof(outcome) ||
	    outcome.version != OUTCOME_VERSION)
		return -ENODATA;
	outcome.text[sizeof(outcome.text) - 1] = '\0';
	*ret = outcome;
	return 0;
}
