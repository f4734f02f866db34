/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The signals that end an export: SIGINT, SIGTERM and SIGHUP, as far as the caller has left them to
 * us.
 *
 * Who starts a command by nohup(1) has SIGHUP ignored, and means it. A shell that is not
 * interactive has SIGINT ignored in what it starts in the background: that is about ^C, so a SIGINT
 * that somebody sends on purpose counts all the same.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

/*
 * Take them away from everybody else: they are blocked, in the processes that are started later,
 * too. Must be called before the first of these. Sets *ret to which they are.
 */
void signals_take(sigset_t *ret);

/* Does one of these count, that came with the si_code @code? */
bool signals_count(int number, int code);

/* A descriptor for signals_read(), which is readable while there are some, or -errno. */
int signals_open(const sigset_t *signals);

/* Take the next one that counts. Returns its number, or 0 where there is none. */
int signals_read(int fd);
