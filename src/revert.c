/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ask the export whose it is, before its mount goes away; unmount; wait for all who have to end.
 */
#include "revert.h"

#include "cleanup.h"
#include "identity.h"
#include "inherited.h"
#include "log.h"
#include "mountinfo.h"
#include "outcome.h"
#include "unmount.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often, and how far apart in ms, an unmount is tried that finds the mount in use. */
#define BUSY_ATTEMPTS 20
#define BUSY_INTERVAL 50

/* After how many ms a user who waits for a server is told so. */
#define SERVER_TIMEOUT 5000

static int ask_identity(const struct mount_entry *entry, struct identity *ret)
{
	_cleanup_close_ int fd = mountinfo_open(entry->target, entry->device, O_RDONLY);

	if (fd < 0)
		return fd;
	return ioctl(fd, IDENTITY_IOCTL, ret) < 0 ? -errno : 0;
}

/*
 * Ask as the user who mounted: without allow_other nobody else is let in, not even root. In a
 * process of its own, which gives up what it was for good.
 */
static int ask_identity_as(const struct mount_entry *entry, struct identity *ret)
{
	int pipes[2], status;
	ssize_t count;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		struct identity identity;

		if (setgroups(0, NULL) == 0 &&
		    setresgid(entry->group, entry->group, entry->group) == 0 &&
		    setresuid(entry->user, entry->user, entry->user) == 0 &&
		    ask_identity(entry, &identity) == 0 &&
		    write(pipes[1], &identity, sizeof(identity)) == sizeof(identity))
			_exit(0);
		_exit(1);
	}
	close(pipes[1]);
	count = read(pipes[0], ret, sizeof(*ret));
	close(pipes[0]);
	if (pid < 0)
		return -EAGAIN;
	waitpid(pid, &status, 0);
	return count == sizeof(*ret) ? 0 : -EACCES;
}

/* What one needs to wait for the end of an export, and to learn how it went. */
struct ending {
	/* readable once the process has ended; -1: it has, or is unknown */
	int supervisor, helper, server;
	int outcome_fd; /* or -1 */
};

static void ending_finish(struct ending *ending)
{
	if (ending->supervisor >= 0)
		close(ending->supervisor);
	if (ending->helper >= 0)
		close(ending->helper);
	if (ending->server >= 0)
		close(ending->server);
	if (ending->outcome_fd >= 0)
		close(ending->outcome_fd);
}

/* Learn who is behind the export, while it can still be asked. */
static int open_ending(const struct mount_entry *entry, struct ending *ret)
{
	struct identity identity;
	int r;

	r = ask_identity(entry, &identity);
	if (r == -EACCES && geteuid() == 0)
		r = ask_identity_as(entry, &identity);
	if (r < 0)
		return r;
	if (identity.version != IDENTITY_VERSION ||
	    identity.pid_namespace != identity_own_namespace())
		return -ESRCH;
	ret->server = (int)syscall(SYS_pidfd_open, identity.server, 0);
	if (ret->server < 0)
		return -errno;
	/* where the one is killed the other stands in for it */
	ret->supervisor = (int)syscall(SYS_pidfd_open, identity.supervisor, 0);
	ret->helper = (int)syscall(SYS_pidfd_open, identity.helper, 0);
	ret->outcome_fd = outcome_open(identity.supervisor, identity.outcome_fd, entry->user);
	if (ret->outcome_fd < 0)
		ret->outcome_fd = outcome_open(identity.helper, identity.outcome_fd, entry->user);
	return 0;
}

/* Unmount what no server stands behind. */
static int remove_dead(const char *path, const struct mount_identity *identity,
		       struct imgfmt_error *reterr)
{
	int r;

	r = unmount_identity(identity, false, reterr);
	if (r == -EBUSY)
		r = unmount_identity(identity, true, reterr);
	if (r == 0)
		log_warning("%s: its server had died; removed the dead mount", path);
	return r;
}

static int find_export(const char *path, struct mount_entry *ret, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *target = NULL;
	int r;

	r = resolve_path(path, &target);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s", strerror(-r));
	r = mountinfo_find_target(target, ret);
	if (r == -ENOENT)
		return imgfmt_error_set(reterr, r, "is not an export, nothing is mounted there");
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read /proc/self/mountinfo: %s",
					strerror(-r));
	if (!mount_entry_is_ours(ret))
		return imgfmt_error_set(reterr, -EINVAL,
					"is not an export of imgfuse but a mount of type %s",
					ret->type);
	if (geteuid() != 0 && geteuid() != ret->user)
		return imgfmt_error_set(reterr, -EPERM,
					"is an export of the user with the id %u; only he and root "
					"can end it",
					(unsigned int)ret->user);
	return 0;
}

/*
 * Unmount, and give the server a moment: behind a write that was refused it uses the mount itself
 * to put the kernel's size right.
 */
static int unmount_patiently(const struct mount_identity *identity, struct imgfmt_error *reterr)
{
	int r = unmount_identity(identity, false, reterr);

	for (int attempt = 0; r == -EBUSY && attempt < BUSY_ATTEMPTS; attempt++) {
		poll(NULL, 0, BUSY_INTERVAL);
		r = unmount_identity(identity, false, reterr);
	}
	return r;
}

/* Wait until a process has ended, and say that one does after @patience ms, unless that is -1. */
static int wait_for_end(int pidfd, int patience, const char *path, struct imgfmt_error *reterr)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int timeout = patience;

	while (pidfd >= 0) {
		int r = poll(&ended, 1, timeout);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
		if (r == 0) {
			log_warning("%s: unmounted; still waiting for its server, which has not "
				    "finished or is in use in another mount namespace",
				    path);
			timeout = -1;
		}
	}
	return 0;
}

static bool has_outcome(const struct ending *ending, struct outcome *ret)
{
	return ending->outcome_fd >= 0 && outcome_read(ending->outcome_fd, ret) == 0;
}

static int wait_for_ending(const struct ending *ending, int patience, const char *path,
			   struct imgfmt_error *reterr)
{
	struct outcome outcome;
	int r;

	r = wait_for_end(ending->server, patience, path, reterr);
	if (r == 0)
		r = wait_for_end(ending->supervisor, patience, path, reterr);
	/* without an outcome it was killed, and the helper is at work */
	if (r == 0 && !has_outcome(ending, &outcome))
		r = wait_for_end(ending->helper, patience, path, reterr);
	if (r < 0)
		return r;
	if (!has_outcome(ending, &outcome))
		return imgfmt_error_set(reterr, -ENODATA,
					"ended, but nobody is left to say whether the image is "
					"complete");
	if (outcome.result == 0)
		return 0;
	return imgfmt_error_set(reterr, outcome.result, "ended, but not well: %s",
				log_printable(outcome.text));
}

/* Unmount what somebody uses, or say who does. */
static int unmount_busy(const struct mount_entry *entry, const struct mount_identity *identity,
			bool lazy, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;
	char users[256];

	users_describe(entry, users, sizeof(users));
	if (!lazy)
		return imgfmt_error_set(
			reterr, -EBUSY,
			"is in use%s%s; close what uses it and try again, or detach "
			"it with --lazy",
			*users ? " by " : "", users);
	/* as a plain unmount would have; a detached one is written back when it is closed */
	fd = mountinfo_open(entry->target, entry->device, O_RDONLY);
	if (fd >= 0) {
		syncfs(fd);
		close(steal_fd(&fd));
	}
	log_warning("%s: detached; waiting for who uses it%s%s", entry->target, *users ? ": " : "",
		    users);
	return unmount_identity(identity, true, reterr);
}

int revert_export(const char *path, bool lazy, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	CLEANUP(mount_identity_finish) struct mount_identity identity = { 0 };
	CLEANUP(ending_finish) struct ending ending = { -1, -1, -1, -1 };
	struct inherited inherited;
	bool was_busy;
	struct stat st;
	int r;

	r = find_export(path, &entry, reterr);
	if (r < 0)
		return r;
	if (mount_identity_init(&identity, &entry) < 0)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	/* we may have the export open ourselves, from a caller who has */
	if (inherited_note(&inherited) == 0)
		inherited_close(&inherited, NULL, 0);
	if (stat(entry.target, &st) < 0 && errno == ENOTCONN)
		return remove_dead(entry.target, &identity, reterr);
	r = open_ending(&entry, &ending);
	if (r == -ENOTCONN)
		return remove_dead(entry.target, &identity, reterr);
	if (r == -ENOENT)
		return imgfmt_error_set(reterr, r, "has just been unmounted by somebody else");
	if (r < 0 && r != -ESRCH)
		return imgfmt_error_set(
			reterr, r, "cannot ask its server who it is (%s); only its user can end it",
			strerror(-r));
	r = unmount_patiently(&identity, reterr);
	was_busy = r == -EBUSY;
	if (was_busy)
		r = unmount_busy(&entry, &identity, lazy, reterr);
	if (r < 0)
		return r;
	if (ending.server < 0)
		return imgfmt_error_set(
			reterr, -ESRCH,
			"unmounted, but its server runs in another PID namespace, where "
			"its end cannot be waited for");
	return wait_for_ending(&ending, was_busy ? -1 : SERVER_TIMEOUT, entry.target, reterr);
}
