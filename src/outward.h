/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for those outside, who may have stopped to listen: a pipe that nobody reads any more, a
 * terminal after ^S, a service that hangs. A mount depends on who speaks here, so nobody waits for
 * them for longer than OUTWARD_PATIENCE, and after that not at all until something gets through.
 */
#pragma once

#include <stddef.h>

/* In ms. */
#define OUTWARD_PATIENCE 2000

/*
 * Write @text to @fd, which is the caller's, too, and stays as it is. Returns 0, or -errno: -EAGAIN
 * where nobody made room; then a part of it may have been written.
 */
int outward_write(int fd, const char *text, size_t length);

/*
 * Send @text to the local socket @name: a path, or behind an '@' an abstract name. It is a
 * datagram, or where those are not taken, a connection of its own with a NUL at the end. Returns 0
 * or -errno.
 */
int outward_send(const char *name, const char *text);
