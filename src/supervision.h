/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor knows; private to supervisor.c, shutdown.c, understudy.c and
 * aftermath.c.
 */
#pragma once

#include "announcement.h"
#include "channel.h"
#include "log.h"
#include "mountinfo.h"
#include "options.h"
#include "place.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What was done to end the export; a signal takes the next step. */
enum step {
	STEP_SERVE,   /* nothing */
	STEP_UNMOUNT, /* an unmount, which loses nothing, and serving who still uses it */
	STEP_SYNC,    /* what has been written is brought to the image, then: */
	STEP_STOP,    /* serving ends */
	STEP_KILL,
};

/* How many helpers may not die one soon after the other. */
#define DEATHS_MAX 4

struct supervisor {
	const struct options *options;
	const struct place *place;
	struct announcement announcement;
	int signal_fd;
	int watch_fd;     /* the caller's, who is gone when its other end is closed; or -1 */
	int outcome_fd;   /* where whoever waits for the end finds how it went */
	int directory_fd; /* of the mount point, which is to be found whatever lies over it */
	int lastwords_fd; /* the server's standard error; or -1: it has ours */

	pid_t server;
	int server_fd;                   /* our end of the channel */
	int server_pidfd;                /* readable once it has ended */
	bool ended;                      /* it has told us its result, */
	int result;                      /* which is this, */
	bool hung;                       /* but has not ended then */
	char complaint[LOG_MESSAGE_MAX]; /* its last error */

	struct mount_identity mount; /* without a source: there is none yet */
	pid_t helper;                /* or 0 */
	int helper_fd;
	int64_t deaths[DEATHS_MAX -
		       1];  /* when helpers died, in ms of the clock; the last one last */
	bool correcting;    /* the helper works at a correction */
	unsigned int heirs; /* how often a helper has become the supervisor */

	enum step step;
	int64_t deadline; /* for what the step waits for, in ms of the clock; 0: none */
	bool usable;
	bool stopping; /* the service manager knows that it ends */
	bool reverted; /* the unmount was done */
	bool failed;   /* for a reason of ours, which was logged */
};

/*
 * Start a helper, and have it unmount where the one before was to. Returns 0 or -errno.
 * Returns also in the helper, when that has become the supervisor: with a helper of its own, or
 * with none where the server has ended.
 */
int understudy_start(struct supervisor *supervisor);

/*
 * The helper is ready: tell the server who it is, who asks again for what the one before has not
 * corrected. Not earlier: who kills our process group would kill both of us, and leave a server
 * that relies on us. A server that nobody has been introduced to yet unmounts, and ends.
 */
void understudy_introduce(struct supervisor *supervisor);

/* Ask for the end, as a signal does; nothing where that was asked for already. */
void shutdown_begin(struct supervisor *supervisor);

/* The same for a reason that makes the export a failure, and was logged. */
void shutdown_fail(struct supervisor *supervisor);

/* End the server though the mount is there, or let it end if it has not got that far. */
void shutdown_stop_server(struct supervisor *supervisor);

/* Tell the service manager that the export ends, once. */
void shutdown_notify(struct supervisor *supervisor);

/* What else makes the export end, or end sooner. None of them waits. */
void shutdown_handle_signal(struct supervisor *supervisor);
void shutdown_handle_unmounted(struct supervisor *supervisor, const struct message *message);
void shutdown_handle_synced(struct supervisor *supervisor);

/* What was to happen by now has not. */
void shutdown_handle_deadline(struct supervisor *supervisor);

/* What the clock says that deadlines go by. */
int64_t now_in_ms(void);

/* How long that is from now, in ms, for poll(). */
int shutdown_time_left(const struct supervisor *supervisor);

/*
 * Learn which mount is ours: the uppermost one, unless @device and @unique, which say it, are not
 * 0. Whatever they say, it has to look like ours. Returns 0 or -errno.
 */
int supervisor_find_mount(struct supervisor *supervisor, dev_t device, uint64_t unique);

/* Tell the server something. One that does not listen is killed: it must not keep us. */
void supervisor_tell_server(const struct supervisor *supervisor, const struct message *message);

/* Send the server a signal, which may have ended already. */
void supervisor_kill_server(const struct supervisor *supervisor, int number);

/*
 * The server has told its result, or nothing more can be heard from it, so that it is killed. Wait
 * for its end, leave nothing of it or of the helper, and leave word of how it went. Returns the
 * exit status.
 */
int supervisor_clean_up(struct supervisor *supervisor);
