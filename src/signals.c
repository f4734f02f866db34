/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signalfd(2), and what the caller ignored; see signals.h. */
#include "signals.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP };

/* The caller has ^C ignored; set before there is a second process. */
static bool ignore_interrupt;

static bool was_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void signals_take(sigset_t *ret)
{
	ignore_interrupt = was_ignored(SIGINT);
	sigemptyset(ret);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		if (end_signals[i] != SIGHUP || !was_ignored(SIGHUP))
			sigaddset(ret, end_signals[i]);
	sigprocmask(SIG_BLOCK, ret, NULL);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		if (sigismember(ret, end_signals[i]) > 0)
			signal(end_signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

bool signals_count(int number, int code)
{
	return number != SIGINT || code != SI_KERNEL || !ignore_interrupt;
}

int signals_open(const sigset_t *signals)
{
	int fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int signals_read(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		if (signals_count((int)info.ssi_signo, info.ssi_code))
			return (int)info.ssi_signo;
	return 0;
}
