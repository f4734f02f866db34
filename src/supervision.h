/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor knows; private to supervisor.c and understudy.c.
 */
#pragma once

#include "announcement.h"
#include "channel.h"
#include "log.h"
#include "mountinfo.h"
#include "options.h"
#include "place.h"

#include <stdbool.h>
#include <sys/types.h>

struct supervisor {
	const struct options *options;
	const struct place *place;
	struct announcement announcement;
	int signal_fd;
	int watch_fd;   /* the caller's, who is gone when its other end is closed; or -1 */
	int outcome_fd; /* where whoever waits for the end finds how it went */

	pid_t server;
	int server_fd;                   /* our end of the channel */
	int server_pidfd;                /* readable once it has ended */
	bool ended;                      /* it has told us its result, */
	int result;                      /* which is this */
	char complaint[LOG_MESSAGE_MAX]; /* its last error */

	struct mount_identity mount; /* without a source: there is none yet */
	pid_t helper;                /* or 0 */
	int helper_fd;
	unsigned int helpers;      /* how many there have been */
	struct message correction; /* that the helper works at; of type 0: none */

	unsigned int signals; /* how many asked us to end */
	bool usable;
	bool reverting; /* an unmount was asked for, */
	bool reverted;  /* tried, */
	bool unmounted; /* and has succeeded, so that the end must be near, */
	bool lingering; /* but was not */
	bool failed;    /* for a reason of ours, which was logged */
};

/*
 * Start a helper, tell the server who it is, and give it what is to be done. Returns 0 or -errno.
 * Returns also in the helper, when that has become the supervisor.
 */
int understudy_start(struct supervisor *supervisor);
