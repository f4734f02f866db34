/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that are not our children, held by pidfds.
 */
#include "ending.h"

#include "array.h"
#include "cleanup.h"
#include "log.h"
#include "outcome.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How often it is looked whether a process is stopped, in ms: nobody tells us. */
#define LOOK_INTERVAL 1000

struct status {
	char state;
	uid_t user; /* the real one: who has started it */
};

/* What the kernel says of a process, though that may not be looked into. */
static bool read_status(pid_t pid, struct status *ret)
{
	_cleanup_fclose_ FILE *file = NULL;
	char line[256];
	int found = 0;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	file = fopen(line, "re");
	while (file && found < 2 && fgets(line, sizeof(line), file)) {
		found += sscanf(line, "State: %c", &ret->state) == 1;
		found += sscanf(line, "Uid: %u", &ret->user) == 1;
	}
	return found == 2;
}

static bool has_ended(const struct process *process)
{
	struct pollfd ended = { .fd = process->fd, .events = POLLIN };

	return process->fd < 0 || poll(&ended, 1, 0) > 0;
}

/* A number says nothing when the process has ended that it was looked up for. */
static int open_process(struct process *process, pid_t pid, const struct mount_entry *entry)
{
	struct status status;

	process->pid = pid;
	process->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process->fd < 0)
		return -ESRCH;
	if (entry->user == geteuid())
		return 0;
	if (read_status(pid, &status) && !has_ended(process))
		return status.user == entry->user ? 0 : -EPERM;
	close(process->fd);
	process->fd = -1;
	return -ESRCH;
}

/* Open the outcome of the export of @entry in one process. Returns it, or -errno. */
static int open_outcome(pid_t pid, int outcome_fd, const struct mount_entry *entry,
			struct family *ret)
{
	_cleanup_close_ int fd = outcome_open(pid, outcome_fd, entry->user);

	if (fd < 0)
		return fd;
	if (outcome_read_family(fd, ret) < 0 || ret->device != entry->device)
		return -EBADF;
	return steal_fd(&fd);
}

/* Find it in any of them: each may just have been killed. */
static int find_outcome(const struct identity *identity, const struct mount_entry *entry,
			struct family *ret)
{
	const pid_t holders[] = { identity->supervisor, identity->helper, identity->server };
	const size_t last = ARRAY_LENGTH(holders) - 1;
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_LENGTH(holders); i++) {
		int found = open_outcome(holders[i], identity->outcome_fd, entry, ret);

		if (found >= 0)
			return found;
		/* that nobody but root may look into the server says nothing of the others */
		if (i < last && (r == -ENOENT || found == -EACCES))
			r = found;
	}
	return r;
}

/*
 * Who they are: by the supervisor's word. Where that cannot be read, or nobody is left of those who
 * say it to others than root, by the server's.
 */
static int find_family(struct ending *ending, const struct identity *identity,
		       const struct mount_entry *entry, struct family *ret)
{
	int r = find_outcome(identity, entry, ret);

	ending->outcome_fd = r;
	ending->vouched = r >= 0;
	if (r == -EBADF)
		return r;
	if (r == -ENOENT && geteuid() == 0)
		return -ESRCH;
	if (r < 0)
		*ret = (struct family){
			.supervisor = identity->supervisor,
			.helper = identity->helper,
			.server = identity->server,
			.pid_namespace = identity->pid_namespace,
		};
	return 0;
}

int ending_open(struct ending *ret, const struct mount_entry *entry,
		const struct identity *identity)
{
	int server, supervisor, helper, r;
	struct family family;

	if (identity->version != IDENTITY_VERSION)
		return -EPROTO;
	if (identity->pid_namespace != identity_own_namespace())
		return -EXDEV;
	r = find_family(ret, identity, entry, &family);
	if (r < 0)
		return r;
	if (family.pid_namespace != identity->pid_namespace)
		return -EXDEV;
	/* where the one is killed the other stands in for it */
	server = open_process(&ret->server, family.server, entry);
	supervisor = open_process(&ret->supervisor, family.supervisor, entry);
	helper = open_process(&ret->helper, family.helper, entry);
	if (server == -EPERM || supervisor == -EPERM || helper == -EPERM)
		return -EPERM;
	return server < 0 ? server : 0;
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

bool ending_has_server(const struct ending *ending)
{
	return !has_ended(&ending->server);
}

/* Who is stopped, as by ^Z, does not end. Whoever asks for the end asks for that, too. */
static bool let_go_on(const struct process *process)
{
	struct status status;

	return read_status(process->pid, &status) && status.state == 'T' && !has_ended(process) &&
	       syscall(SYS_pidfd_send_signal, process->fd, SIGCONT, NULL, 0) == 0;
}

/* Wait until a process has ended, and say one does after @patience ms, unless that is -1. */
static int wait_for_end(const struct ending *ending, const struct process *process, int patience,
			const char *path, struct imgfmt_error *reterr)
{
	struct pollfd ended = { .fd = process->fd, .events = POLLIN };
	bool was_told = false;
	int r;

	while (process->fd >= 0) {
		if (ending->vouched && let_go_on(process) && !was_told) {
			log_warning("%s: process %d of the export was stopped; continued it, as it "
				    "has to end",
				    path, (int)process->pid);
			was_told = true;
		}
		if (patience == 0)
			log_warning("%s: unmounted; still waiting for process %d, which has not "
				    "finished or whose export is in use in another mount namespace",
				    path, (int)process->pid);
		if (patience >= 0)
			patience -= LOOK_INTERVAL;
		r = poll(&ended, 1, LOOK_INTERVAL);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
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

	r = wait_for_end(ending, &ending->server, patience, path, reterr);
	if (r == 0)
		r = wait_for_end(ending, &ending->supervisor, patience, path, reterr);
	/* without an outcome it was killed, and the helper is at work */
	if (r == 0 && !has_outcome(ending, &outcome))
		r = wait_for_end(ending, &ending->helper, patience, path, reterr);
	if (r < 0)
		return r;
	if (!has_outcome(ending, &outcome))
		return no_outcome(ending, reterr);
	if (outcome.result == 0 && *outcome.text)
		log_warning("%s: ended well, but something had failed before that: %s", path,
			    log_printable(outcome.text));
	if (outcome.result == 0)
		return 0;
	return imgfmt_error_set(reterr, outcome.result, "ended, but not well: %s",
				log_printable(outcome.text));
}
