/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pipe from child to parent carries one byte, or its end.
 */
#include "background.h"

#include "cleanup.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t passed_to;

/* Somebody wants the command to end. */
static volatile sig_atomic_t called_off;

/*
 * What the kernel sends, because of ^C say, it sends to the child too, unless that has just left
 * the terminal; and so does who sends it to the whole group. Then the child gets two, which count
 * as one.
 */
static void pass_on(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (!signals_count(number, info->si_code))
		return;
	called_off = 1;
	kill(passed_to, number);
}

static void pass_signals_on(const sigset_t *signals, pid_t child)
{
	struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO };

	passed_to = child;
	for (int number = 1; number < NSIG; number++)
		if (sigismember(signals, number) > 0)
			sigaction(number, &action, NULL);
	sigprocmask(SIG_UNBLOCK, signals, NULL);
}

/* Either a signal has been passed on, so that the export ends; or none will be any more. */
static bool is_called_off(const sigset_t *signals)
{
	sigprocmask(SIG_BLOCK, signals, NULL);
	if (called_off)
		sigprocmask(SIG_UNBLOCK, signals, NULL);
	return called_off;
}

/* What the parent does: the exit status of the command. */
static int wait_for_child(pid_t child, int fd, const sigset_t *signals)
{
	ssize_t count;
	char byte;
	int status;

	do {
		count = read(fd, &byte, 1);
	} while (count < 0 && errno == EINTR);
	if (count == 1 && !is_called_off(signals))
		return 0;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (WIFSIGNALED(status))
		log_error("the background process died of SIG%s", sigabbrev_np(WTERMSIG(status)));
	return 1;
}

int background_fork(const sigset_t *signals)
{
	int pipes[2];
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int r = -errno;

		close(pipes[0]);
		close(pipes[1]);
		return r;
	}
	if (child > 0) {
		close(pipes[1]);
		pass_signals_on(signals, child);
		_exit(wait_for_child(child, pipes[0], signals));
	}
	close(pipes[0]);
	return pipes[1];
}

/*
 * A terminal can be read where it is written to, and what is typed there is not for us. @null takes
 * its place where it cannot be had for writing alone.
 */
static int forget_reading(int null)
{
	_cleanup_close_ int fd = -1;

	if (!isatty(STDERR_FILENO))
		return 0;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	return dup2(fd >= 0 ? fd : null, STDERR_FILENO) < 0 ? -errno : 0;
}

int background_detach(bool completely)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	setsid();
	if (chdir("/") < 0)
		return -errno;
	for (int standard = 0; standard < (completely ? 3 : 2); standard++)
		if (dup2(null, standard) < 0)
			return -errno;
	return completely ? 0 : forget_reading(null);
}

int background_ready(int fd)
{
	char byte = 0;
	int r;

	r = background_detach(true);
	if (r < 0)
		return r;
	log_to_syslog();
	if (write(fd, &byte, 1) != 1)
		return -errno;
	close(fd);
	return 0;
}
