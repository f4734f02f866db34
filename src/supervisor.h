/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor: the process that was started, whose id is in the pid file. It starts the server,
 * which opens the image and serves it, and the helper; it tells whom it concerns when the export is
 * usable, takes the signals, and sees to it that nothing stays when the server has ended, however
 * it did. It parses no image and holds no descriptor of one, nor an end of the session.
 *
 * The first SIGINT, SIGTERM or SIGHUP unmounts, which loses nothing; a mount in use is detached and
 * served on until its last user is gone. Another SIGINT or SIGTERM ends it, see shutdown.c.
 *
 * When the supervisor is killed, the helper becomes the supervisor and unmounts. When both are
 * killed, the server goes on until somebody unmounts; when all three are, a dead mount stays.
 */
#pragma once

#include "options.h"
#include "pidfile.h"
#include "place.h"

#include <signal.h>

/*
 * Run an export from its beginning to its end. @signals are those that end it, see signals.h;
 * @background_fd is for background_ready(), or -1.
 * Returns the exit status, in the server's process, too: 0 where the image is final, or 1 after an
 * error was logged.
 */
int supervise(const struct options *options, const struct place *place, struct pidfile *pidfile,
	      const sigset_t *signals, int background_fd);
