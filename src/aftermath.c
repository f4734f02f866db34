/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor does when serving is over: see the server and the helper end, remove a dead
 * mount, judge. None of it waits for a process that has nothing left to lose.
 */
#include "channel.h"
#include "helper.h"
#include "lastwords.h"
#include "log.h"
#include "outcome.h"
#include "supervision.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a process may take to end that has done its work or was killed, in ms. */
#define END_TIMEOUT 5000

void supervisor_kill_server(const struct supervisor *supervisor, int number)
{
	/* where we are an heir, it is not our child, and its number may be another's by now */
	if (supervisor->server_pidfd >= 0)
		syscall(SYS_pidfd_send_signal, supervisor->server_pidfd, number, NULL, 0);
	else
		kill(supervisor->server, number);
}

/* Wait until a process has ended; @timeout is as for poll(). Returns whether it has. */
static bool wait_for_end(int pidfd, int timeout)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int r;

	do {
		r = poll(&ended, 1, timeout);
	} while (r < 0 && errno == EINTR);
	return r != 0;
}

/*
 * For an ordinary user the server mounts by a program, which is our child when the server has died:
 * it must not do so after we have looked for a mount.
 */
static void end_mounting(const struct supervisor *supervisor)
{
	while (waitpid(-supervisor->server, NULL, 0) >= 0 || errno == EINTR)
		;
}

/*
 * See the server end. Once it has told its result, the image is closed. Where it has not and speaks
 * to us no more it has lost its mind. Returns its status as waitpid() does, or -1.
 */
static int end_server(struct supervisor *supervisor)
{
	int status;

	if (supervisor->ended)
		supervisor->hung = !wait_for_end(supervisor->server_pidfd, END_TIMEOUT);
	supervisor_kill_server(supervisor, SIGKILL);
	if (supervisor->server_pidfd >= 0)
		wait_for_end(supervisor->server_pidfd, -1);
	if (!supervisor->mount.source)
		kill(-supervisor->server, SIGKILL);
	/* an heir's server is not its child, and its number may be that of one who is */
	if (supervisor->heirs > 0 || waitpid(supervisor->server, &status, 0) < 0)
		status = -1;
	if (!supervisor->mount.source)
		end_mounting(supervisor);
	return status;
}

/* Nothing that it could still do matters; a host that does not answer may keep it for ever. */
static void end_helper(struct supervisor *supervisor)
{
	int pidfd;

	if (!supervisor->helper)
		return;
	pidfd = (int)syscall(SYS_pidfd_open, supervisor->helper, 0);
	kill(supervisor->helper, SIGKILL);
	wait_for_end(pidfd, END_TIMEOUT);
	waitpid(supervisor->helper, NULL, WNOHANG);
	if (pidfd >= 0)
		close(pidfd);
	close(supervisor->helper_fd);
}

/* Remove the mount if it is still there. Returns whether it was. */
static bool remove_mount(struct supervisor *supervisor)
{
	struct stat st;

	/* it may have been killed before it told us; what is not dead is not what it has left */
	if (!supervisor->mount.source &&
	    (stat(supervisor->place->mountpoint, &st) == 0 || errno != ENOTCONN ||
	     supervisor_find_mount(supervisor, 0, 0) < 0))
		return false;
	return helper_remove_dead_mount(&supervisor->mount);
}

/* Has the server died of our asking, when there was nothing to unmount? */
static bool ended_early(const struct supervisor *supervisor, int status)
{
	return !supervisor->ended && !supervisor->mount.source && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGTERM;
}

/* Say how the server has ended, where it did not say that itself. Returns 0 where all is well. */
static int judge(struct supervisor *supervisor, int status, bool was_dead)
{
	const char *name = supervisor->options->image;
	char *text = supervisor->complaint;
	size_t size = sizeof(supervisor->complaint);
	bool asked = supervisor->step != STEP_SERVE;
	const char *what = supervisor->usable ? "; what had not been synced may be lost" :
						" before the export was usable";

	if (supervisor->ended && supervisor->result < 0)
		return supervisor->result;
	if (asked && ended_early(supervisor, status))
		return 0;
	if (!supervisor->ended && status >= 0 && WIFSIGNALED(status))
		snprintf(text, size, "%s: the server was killed by SIG%s%s", name,
			 sigabbrev_np(WTERMSIG(status)), what);
	else if (!supervisor->ended)
		snprintf(text, size, "%s: the server was killed%s", name, what);
	else if (supervisor->hung)
		snprintf(text, size,
			 "%s: the server had to be killed, though it had told that all is well",
			 name);
	else if (was_dead)
		snprintf(text, size,
			 "%s: serving ended: the connection was aborted; what its users had not "
			 "written back is lost",
			 name);
	else if (!supervisor->usable && !asked && !supervisor->failed)
		snprintf(text, size, "%s: ended before the export was usable", name);
	else
		return 0;
	log_error("%s", text);
	return -EIO;
}

int supervisor_clean_up(struct supervisor *supervisor)
{
	int status = end_server(supervisor), r;
	bool was_dead;

	was_dead = remove_mount(supervisor);
	if (supervisor->lastwords_fd >= 0)
		lastwords_say(supervisor->lastwords_fd, supervisor->options->image,
			      !supervisor->ended || supervisor->result < 0);
	shutdown_notify(supervisor);
	r = judge(supervisor, status, was_dead);
	outcome_write(supervisor->outcome_fd, r, supervisor->complaint);
	pidfile_finish(supervisor->announcement.pidfile);
	/* last: until here it is the one who goes on if we are killed */
	end_helper(supervisor);
	mount_identity_finish(&supervisor->mount);
	if (supervisor->server_pidfd >= 0)
		close(supervisor->server_pidfd);
	return r < 0 || supervisor->failed ? 1 : 0;
}
