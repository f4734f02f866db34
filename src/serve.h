/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a mounted session as the main thread sees it: start, ready, signals, end.
 *
 * The first SIGINT, SIGTERM or SIGHUP unmounts, which loses nothing; a mount in use is detached
 * and served on until its last user is gone. The second one ends it at once.
 */
#pragma once

#include "session.h"

/*
 * Take the signals that end a session away from everybody else. Must be called before the first
 * thread is created; it does not matter whether the caller's shell had them ignored.
 */
void serve_block_signals(void);

/*
 * Serve @session, which is mounted, until it has ended, and finish it. Calls @ready once the
 * export is usable; a failure of it (negative, already reported) unmounts again.
 *
 * Returns 0 after a clean end, otherwise a negative errno after an error was logged.
 */
int serve(struct session *session, int (*ready)(void *userdata), void *userdata);
