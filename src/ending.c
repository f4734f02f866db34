/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that are not our children, held by pidfds.
 */
#include "ending.h"

#include "cleanup.h"
#include "log.h"
#include "outcome.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fclose_pointee(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* The user who has started a process: the kernel says that though it may not be looked into. */
static bool read_user(pid_t pid, uid_t *ret)
{
	CLEANUP(fclose_pointee) FILE *file = NULL;
	char line[256];

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	file = fopen(line, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Uid: %u", ret) == 1)
			return true;
	return false;
}

static bool has_ended(const struct process *process)
{
	struct pollfd ended = { .fd = process->fd, .events = POLLIN };

	return process->fd < 0 || poll(&ended, 1, 0) > 0;
}

/* A number says nothing when the process has ended that it was looked up for. */
static int open_process(struct process *process, pid_t pid, const struct mount_entry *entry)
{
	uid_t user;

	process->pid = pid;
	process->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process->fd < 0)
		return -ESRCH;
	if (entry->user == geteuid())
		return 0;
	if (read_user(pid, &user) && !has_ended(process))
		return user == entry->user ? 0 : -EPERM;
	close(process->fd);
	process->fd = -1;
	return -ESRCH;
}

int ending_open(struct ending *ret, const struct mount_entry *entry,
		const struct identity *identity)
{
	int server, supervisor, helper;

	if (identity->version != IDENTITY_VERSION ||
	    identity->pid_namespace != identity_own_namespace())
		return -EXDEV;
	/* where the one is killed the other stands in for it */
	server = open_process(&ret->server, identity->server, entry);
	supervisor = open_process(&ret->supervisor, identity->supervisor, entry);
	helper = open_process(&ret->helper, identity->helper, entry);
	if (server == -EPERM || supervisor == -EPERM || helper == -EPERM)
		return -EPERM;
	if (server < 0)
		return server;
	ret->outcome_fd = outcome_open(identity->supervisor, identity->outcome_fd, entry->user);
	if (ret->outcome_fd < 0)
		ret->outcome_fd = outcome_open(identity->helper, identity->outcome_fd, entry->user);
	return 0;
}

void ending_finish(struct ending *ending)
{
	const int fds[] = { ending->server.fd, ending->supervisor.fd, ending->helper.fd,
			    ending->outcome_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*ending = ENDING_NONE;
}

/* Wait until a process has ended, and say one does after @patience ms, unless that is -1. */
static int wait_for_end(const struct process *process, int patience, const char *path,
			struct imgfmt_error *reterr)
{
	struct pollfd ended = { .fd = process->fd, .events = POLLIN };
	int r;

	while (process->fd >= 0) {
		r = poll(&ended, 1, patience);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
		if (r == 0)
			log_warning("%s: unmounted; still waiting for process %d, which has not "
				    "finished or is in use in another mount namespace",
				    path, (int)process->pid);
		if (r == 0)
			patience = -1;
	}
	return 0;
}

static int no_outcome(const struct ending *ending, struct imgfmt_error *reterr)
{
	if (ending->outcome_fd == -EACCES)
		return imgfmt_error_set(reterr, -EACCES,
					"ended, but how cannot be seen: its processes may not be "
					"looked into");
	return imgfmt_error_set(reterr, -ENODATA,
				"ended, but nobody is left to say whether the image is complete");
}

static bool has_outcome(const struct ending *ending, struct outcome *ret)
{
	return ending->outcome_fd >= 0 && outcome_read(ending->outcome_fd, ret) == 0;
}

int ending_wait(const struct ending *ending, int patience, const char *path,
		struct imgfmt_error *reterr)
{
	struct outcome outcome;
	int r;

	r = wait_for_end(&ending->server, patience, path, reterr);
	if (r == 0)
		r = wait_for_end(&ending->supervisor, patience, path, reterr);
	/* without an outcome it was killed, and the helper is at work */
	if (r == 0 && !has_outcome(ending, &outcome))
		r = wait_for_end(&ending->helper, patience, path, reterr);
	if (r < 0)
		return r;
	if (!has_outcome(ending, &outcome))
		return no_outcome(ending, reterr);
	if (outcome.result == 0)
		return 0;
	return imgfmt_error_set(reterr, outcome.result, "ended, but not well: %s",
				log_printable(outcome.text));
}
