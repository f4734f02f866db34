/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A signal may come at any time, so the words are ready before, and two buffers take turns.
 */
#include "interruption.h"

#include "log.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

static char words[2][LOG_MESSAGE_MAX];
static volatile sig_atomic_t current;

/* Whoever waits for us is told by what we have ended: so the signal comes again. */
static void say_and_die(int number)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
	const char *text = words[current];

	/* nobody may be there to read it */
	if (poll(&room, 1, 0) > 0)
		write(STDERR_FILENO, text, strlen(text));
	raise(number);
}

static void handle(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = (int)SA_RESETHAND }, old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

void interruption_means(const char *path, const char *state)
{
	int next = !current;

	snprintf(words[next], sizeof(words[next]) - 1, "imgfuse: %s: interrupted; %s", path, state);
	log_printable(words[next]);
	strcat(words[next], "\n");
	current = next;
	handle(say_and_die);
}

void interruption_forget(void)
{
	handle(SIG_DFL);
}
