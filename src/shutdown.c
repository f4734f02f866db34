/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the supervisor ends an export: what a signal, or anything else, makes of the step that was
 * reached, and what the helper's answers and the time make of it. Each step is harsher than the one
 * before; none is taken without being asked for, as from the second one on something may be lost.
 */
#include "channel.h"
#include "log.h"
#include "notify.h"
#include "signals.h"
#include "supervision.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* How long after an unmount the end of the server may take before it is worth a word, in ms. */
#define LINGER_TIMEOUT 5000

/* How long a sync may take before the server is stopped without it, in ms. */
#define SYNC_TIMEOUT 60000

int64_t now_in_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_deadline(struct supervisor *supervisor, int timeout)
{
	supervisor->deadline = now_in_ms() + timeout;
}

void shutdown_stop_server(struct supervisor *supervisor)
{
	const struct message stop = { .type = MESSAGE_STOP };

	if (supervisor->mount.source)
		supervisor_tell_server(supervisor, &stop);
	else
		supervisor_kill_server(supervisor, SIGTERM);
}

/*
 * Before the unmount is answered nobody was told that the export is in use, and so nobody can mean
 * more than that it should end: see shutdown_handle_unmounted(). Unless it is never answered.
 */
static void sync_or_wait(struct supervisor *supervisor)
{
	if (supervisor->reverted)
		channel_tell(supervisor->helper_fd, MESSAGE_SYNC, 0);
	set_deadline(supervisor, SYNC_TIMEOUT);
}

void shutdown_notify(struct supervisor *supervisor)
{
	if (!supervisor->stopping)
		notify("STOPPING=1\n");
	supervisor->stopping = true;
}

/* Ask for the end, or once more for what has not come. */
static void escalate(struct supervisor *supervisor)
{
	if (supervisor->step < STEP_KILL)
		supervisor->step++;
	/* what was to happen by then is waited for no more */
	supervisor->deadline = 0;
	if (supervisor->step == STEP_KILL)
		supervisor_kill_server(supervisor, SIGKILL);
	else if (supervisor->step == STEP_STOP || !supervisor->helper)
		shutdown_stop_server(supervisor);
	else if (supervisor->step == STEP_SYNC)
		sync_or_wait(supervisor);
	else
		channel_tell(supervisor->helper_fd, MESSAGE_UNMOUNT, 0);
	shutdown_notify(supervisor);
}

void shutdown_begin(struct supervisor *supervisor)
{
	if (supervisor->step == STEP_SERVE)
		escalate(supervisor);
}

void shutdown_fail(struct supervisor *supervisor)
{
	supervisor->failed = true;
	shutdown_begin(supervisor);
}

void shutdown_handle_signal(struct supervisor *supervisor)
{
	int number = signals_read(supervisor->signal_fd);

	if (number == 0)
		return;
	/* called off: there was no export */
	if (!supervisor->usable)
		supervisor->failed = true;
	/* from a terminal that is closed two come, one of the shell: nobody insists with them */
	if (number != SIGHUP || supervisor->step == STEP_SERVE)
		escalate(supervisor);
	log_verbose("%s: got SIG%s", supervisor->options->image, sigabbrev_np(number));
}

void shutdown_handle_unmounted(struct supervisor *supervisor, const struct message *message)
{
	if (message->value < 0 && message->value != -EBUSY) {
		/* nothing is lost yet: whoever asks again asks for the same */
		if (supervisor->step < STEP_STOP)
			supervisor->step = STEP_SERVE;
		supervisor->deadline = 0;
		if (!supervisor->usable)
			shutdown_stop_server(supervisor);
		log_error("%s: cannot unmount: %s%s", supervisor->place->mountpoint, message->text,
			  supervisor->usable ? "; still serving it (a signal tries it again)" : "");
		return;
	}
	supervisor->reverted = true;
	if (supervisor->step == STEP_SYNC) {
		supervisor->step = STEP_UNMOUNT;
		supervisor->deadline = 0;
	}
	if (supervisor->step == STEP_UNMOUNT && (message->value == 0 || !supervisor->usable))
		set_deadline(supervisor, LINGER_TIMEOUT);
	if (message->value == -EBUSY && supervisor->usable)
		log_warning(
			"%s: the export is in use; detached it from %s, and serving it until the "
			"last user closes it (a second signal ends it at once)",
			supervisor->options->image, supervisor->place->mountpoint);
}

void shutdown_handle_synced(struct supervisor *supervisor)
{
	if (supervisor->step == STEP_SYNC)
		escalate(supervisor);
}

int shutdown_time_left(const struct supervisor *supervisor)
{
	int64_t left = supervisor->deadline - now_in_ms();

	return supervisor->deadline == 0 ? -1 : left > 0 ? (int)left : 0;
}

void shutdown_handle_deadline(struct supervisor *supervisor)
{
	supervisor->deadline = 0;
	if (supervisor->step == STEP_SYNC)
		escalate(supervisor);
	else if (!supervisor->usable) /* whoever uses it nevertheless must not keep us */
		shutdown_stop_server(supervisor);
	else
		log_warning("%s: unmounted, but still mounted or in use elsewhere; serving it "
			    "until that ends (a second signal ends it at once)",
			    supervisor->options->image);
}
