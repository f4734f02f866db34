/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every question to a file system waits for who serves it. So a process of its own asks, which can
 * give up what it was for good, and can be left behind: once the server has taken a request, the
 * kernel lets nobody go before the answer, not even who is killed.
 */
#include "inquiry.h"

#include "cleanup.h"
#include "interruption.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
	int r;
	struct identity identity;
};

static int ask(const struct mount_entry *entry, struct identity *ret)
{
	_cleanup_close_ int fd = mountinfo_open(entry->target, entry->device, O_RDONLY);

	if (fd < 0)
		return fd;
	return ioctl(fd, IDENTITY_IOCTL, ret) < 0 ? -errno : 0;
}

static bool become_user(const struct mount_entry *entry)
{
	return setgroups(0, NULL) == 0 &&
	       setresgid(entry->group, entry->group, entry->group) == 0 &&
	       setresuid(entry->user, entry->user, entry->user) == 0;
}

/*
 * In the process that asks. Without allow_other nobody but the user who mounted is let in, not even
 * root. It holds nothing that somebody waits for the end of, as it may never end.
 */
static void ask_and_exit(const struct mount_entry *entry, int pipe_fd)
{
	struct answer answer = { 0 };

	interruption_forget();
	if (dup2(pipe_fd, STDIN_FILENO) < 0 || close_range(1, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(1);
	answer.r = ask(entry, &answer.identity);
	if (answer.r == -EACCES && geteuid() == 0 && become_user(entry))
		answer.r = ask(entry, &answer.identity);
	_exit(write(STDIN_FILENO, &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
}

/* Returns whether there is an answer, or the end of who was to give one. */
static bool has_answered(int fd, int timeout)
{
	struct pollfd answer = { .fd = fd, .events = POLLIN };
	int r;

	do {
		r = poll(&answer, 1, timeout);
	} while (r < 0 && errno == EINTR);
	return r != 0;
}

static int hear(int fd, const struct mount_entry *entry, struct identity *ret)
{
	struct answer answer;

	if (!has_answered(fd, INQUIRY_TIMEOUT * 1000)) {
		if (entry->user != geteuid())
			return -ETIMEDOUT;
		/* a slow host is not to lose its end */
		log_warning("%s: its server, perhaps stopped, has not answered for %d s; waiting",
			    entry->target, INQUIRY_TIMEOUT);
		has_answered(fd, -1);
	}
	if (read(fd, &answer, sizeof(answer)) != sizeof(answer))
		return -EACCES;
	*ret = answer.identity;
	return answer.r;
}

int inquire(const struct mount_entry *entry, struct identity *ret)
{
	int pipes[2], r;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		ask_and_exit(entry, pipes[1]);
	r = pid < 0 ? -errno : 0;
	close(pipes[1]);
	if (r == 0) {
		r = hear(pipes[0], entry, ret);
		kill(pid, SIGKILL);
		/* who has not answered cannot be waited for */
		waitpid(pid, NULL, r == -ETIMEDOUT ? WNOHANG : 0);
	}
	close(pipes[0]);
	return r;
}
