/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for those outside, who may have stopped to listen: a pipe that nobody reads any more, a
 * terminal after ^S, a service that hangs. A mount depends on who speaks here, so nobody waits for
 * them for longer than OUTWARD_PATIENCE.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

/* In ms. */
#define OUTWARD_PATIENCE 2000

/*
 * Whether somebody to whom one says many things has stopped to listen. Then nobody waits for him
 * any more until something gets through.
 */
struct outward {
	atomic_bool unheard;
};

/*
 * Write @text to @fd, which is the caller's, too, and stays as it is. @listener may be NULL where
 * it is said once. Returns 0, or -errno: -EAGAIN where nobody made room; then a part of it may have
 * been written.
 */
int outward_write(int fd, const char *text, size_t length, struct outward *listener);

/*
 * Send @text to the local socket @name: a path, or behind an '@' an abstract name. It is a
 * datagram, or where those are not taken, a connection of its own with a NUL at the end. Otherwise
 * as outward_write().
 */
int outward_send(const char *name, const char *text, struct outward *listener);
