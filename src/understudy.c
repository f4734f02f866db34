/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper, as the one who stands by for the supervisor: a fork of it, from the moment when there
 * was a mount, with all that it knew then. When the supervisor is killed, the helper returns from
 * where it was forked, as the supervisor, and starts a helper of its own, unless it has only to
 * clean up.
 */
#include "background.h"
#include "helper.h"
#include "identity.h"
#include "inherited.h"
#include "log.h"
#include "notify.h"
#include "outcome.h"
#include "signals.h"
#include "supervision.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/* How often the place of a supervisor is taken: what kills them all is no accident. */
#define HEIRS_MAX 4

static void notify_of_heir(struct supervisor *supervisor)
{
	char state[64];

	snprintf(state, sizeof(state), "MAINPID=%d\nSTOPPING=1\n", (int)getpid());
	notify(state);
	supervisor->stopping = true;
}

/* The supervisor whose helper we were is gone: be it, and end the export. */
static void take_over(struct supervisor *supervisor, pid_t dead)
{
	struct outcome outcome;

	prctl(PR_SET_NAME, "imgfuse");
	close(supervisor->helper_fd);
	supervisor->helper_fd = -1;
	/* what was sent to the helper until now was not meant for who ends an export already */
	while (signals_read(supervisor->signal_fd) > 0)
		;
	supervisor->heirs++;
	supervisor->usable = true;
	supervisor->step = STEP_UNMOUNT;
	supervisor->deadline = 0;
	supervisor->ended = outcome_read(supervisor->outcome_fd, &outcome) == 0;
	if (supervisor->ended) {
		supervisor->result = outcome.result;
		snprintf(supervisor->complaint, sizeof(supervisor->complaint), "%s", outcome.text);
	}
	pidfile_take_over(supervisor->announcement.pidfile, dead);
	notify_of_heir(supervisor);
	log_warning("%s: the supervisor was killed; ending the export", supervisor->options->image);
}

/* Is there nothing left but to clean up, for which no helper is needed? */
static bool server_has_ended(const struct supervisor *supervisor)
{
	struct pollfd server = { .fd = supervisor->server_pidfd, .events = POLLIN };

	return supervisor->ended || poll(&server, 1, 0) > 0;
}

/* What the helper is before it becomes the supervisor, if it ever does. */
static void be_helper(struct supervisor *supervisor, int fd)
{
	const int keep[] = {
		fd,
		supervisor->server_fd,
		supervisor->server_pidfd,
		supervisor->signal_fd,
		supervisor->outcome_fd,
		supervisor->lastwords_fd,
		supervisor->directory_fd,
		supervisor->announcement.pidfile->fd,
	};
	struct inherited inherited;

	prctl(PR_SET_NAME, "imgfuse-helper");
	background_detach(supervisor->options->daemonize);
	if (supervisor->options->daemonize)
		log_to_syslog();
	if (inherited_note(&inherited) == 0)
		inherited_close(&inherited, keep, sizeof(keep) / sizeof(keep[0]));
	supervisor->announcement.background_fd = -1;
	supervisor->watch_fd = -1;
	helper_work(fd, &supervisor->mount, supervisor->options->image);
}

void understudy_introduce(struct supervisor *supervisor)
{
	const struct message message = {
		.type = MESSAGE_HELPER,
		.value = supervisor->outcome_fd,
		.supervisor = getpid(),
		.helper = supervisor->helper,
	};
	const struct family family = {
		.version = FAMILY_VERSION,
		.supervisor = getpid(),
		.helper = supervisor->helper,
		.server = supervisor->server,
		.pid_namespace = identity_own_namespace(),
		.device = supervisor->mount.device,
	};

	outcome_write_family(supervisor->outcome_fd, &family);
	supervisor_tell_server(supervisor, &message);
}

int understudy_start(struct supervisor *supervisor)
{
	pid_t own = getpid(), pid;
	int ends[2], r;

	for (;;) {
		r = channel_create(ends);
		if (r < 0)
			return r;
		pid = fork();
		r = -errno;
		close(ends[pid == 0 ? 0 : 1]);
		if (pid != 0)
			break;
		be_helper(supervisor, ends[1]);
		/* without us the server serves until somebody unmounts, and so loses nothing */
		if (supervisor->heirs == HEIRS_MAX)
			_exit(1);
		supervisor->helper_fd = ends[1];
		take_over(supervisor, own);
		if (server_has_ended(supervisor))
			return 0;
		own = getpid();
	}
	if (pid < 0) {
		close(ends[0]);
		return r;
	}
	supervisor->helper = pid;
	supervisor->helper_fd = ends[0];
	supervisor->correcting = false;
	if (supervisor->step >= STEP_UNMOUNT && !supervisor->reverted)
		channel_tell(supervisor->helper_fd, MESSAGE_UNMOUNT, 0);
	else if (supervisor->step == STEP_SYNC)
		channel_tell(supervisor->helper_fd, MESSAGE_SYNC, 0);
	return 0;
}
