/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors that the caller has for us: --ready-fd and --watch-fd.
 */
#pragma once

#include "options.h"

#include <poll.h>

/*
 * Check that they are what they are for, and keep them from programs that we start. Before anything
 * else is opened, which could have the number of one that is closed. Returns 0, or -errno after it
 * was logged.
 */
int caller_check(const struct options *options);

/*
 * For poll(): what happens to --watch-fd once its other end is closed, and nothing else. What comes
 * through it stays there: reading could wait, and the end of what there is to read is not the end.
 */
#define CALLER_GONE POLLRDHUP
