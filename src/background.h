/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Going to the background so that the caller knows how it went: the caller's process waits until
 * the other one is ready, or has ended.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

/*
 * Fork. Returns in the child only, with a descriptor for background_ready(), or -errno where
 * there is no child. The parent stays behind and ends with status 0 when the child is ready, with
 * 1 when the child ends before; the child says why on the stderr that both share. @signals, which
 * are blocked, the parent passes on to the child, and ends with 1 when that has ended.
 *
 * Must be called before there are threads, locks or files to inherit.
 */
int background_fork(const sigset_t *signals);

/*
 * Leave the caller: a session of our own, no terminal, no working directory, standard input and
 * output that lead nowhere, and, if @completely, standard error too. Returns 0 or -errno.
 */
int background_detach(bool completely);

/*
 * Leave the caller completely, and send messages to syslog; then let the parent return, and close
 * @fd. Returns 0, or -errno where the parent is gone already.
 */
int background_ready(int fd);
