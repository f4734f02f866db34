/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pipe from child to parent carries one byte, or its end.
 */
#include "background.h"

#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the parent does: the exit status of the command. */
static int wait_for_child(pid_t child, int fd)
{
	ssize_t count;
	char byte;
	int status;

	do {
		count = read(fd, &byte, 1);
	} while (count < 0 && errno == EINTR);
	if (count == 1)
		return 0;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (WIFSIGNALED(status))
		log_error("the background process died of SIG%s", sigabbrev_np(WTERMSIG(status)));
	return 1;
}

int background_fork(void)
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
		_exit(wait_for_child(child, pipes[0]));
	}
	/* what the caller holds open, a lock or a pipe, is not ours to keep for long */
	if (dup3(pipes[1], pipes[0], O_CLOEXEC) < 0)
		return -errno;
	if (pipes[0] > 3)
		close_range(3, (unsigned int)pipes[0] - 1, 0);
	close_range((unsigned int)pipes[0] + 1, ~0U, 0);
	return pipes[0];
}

int background_ready(int fd)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte = 0;

	if (null < 0)
		return -errno;
	setsid();
	if (chdir("/") < 0)
		return -errno;
	log_to_syslog();
	for (int standard = 0; standard < 3; standard++)
		if (dup2(null, standard) < 0)
			return -errno;
	if (write(fd, &byte, 1) != 1)
		return -errno;
	close(fd);
	return 0;
}
