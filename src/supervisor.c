/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One loop over the sources of events: signals, the caller, the helper, and the server, whose end
 * ends it.
 */
#include "supervisor.h"

#include "announcement.h"
#include "channel.h"
#include "cleanup.h"
#include "helper.h"
#include "inherited.h"
#include "log.h"
#include "notify.h"
#include "mountinfo.h"
#include "outcome.h"
#include "server.h"
#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* How long after an unmount the end of the server may take before it is worth a word, in ms. */
#define LINGER_TIMEOUT 2000

/* How many helpers may die before we do without. */
#define HELPERS_MAX 4

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP };

static void end_signal_set(sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		sigaddset(ret, end_signals[i]);
}

void supervisor_block_signals(void)
{
	sigset_t set;

	end_signal_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		signal(end_signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

/* ---- the end ---- */

/* End the server though the mount is there, or let it end if it has not got that far. */
static void stop_server(struct supervisor *supervisor)
{
	if (supervisor->mount.source)
		channel_tell(supervisor->server_fd, MESSAGE_STOP, 0);
	else
		kill(supervisor->server, SIGTERM);
}

static void revert(struct supervisor *supervisor)
{
	if (supervisor->reverting)
		return;
	supervisor->reverting = true;
	notify("STOPPING=1\n");
	if (supervisor->helper)
		channel_tell(supervisor->helper_fd, MESSAGE_UNMOUNT, 0);
	else
		stop_server(supervisor);
}

/* End for a reason that was logged. */
static void fail(struct supervisor *supervisor)
{
	supervisor->failed = true;
	revert(supervisor);
}

static void handle_signal(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;

	if (read(supervisor->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	supervisor->signals++;
	log_verbose("%s: got SIG%s", supervisor->options->image, sigabbrev_np((int)info.ssi_signo));
	if (supervisor->signals == 1)
		revert(supervisor);
	else if (supervisor->signals == 2 && supervisor->helper)
		channel_tell(supervisor->helper_fd, MESSAGE_SYNC, 0);
	else
		stop_server(supervisor);
}

/* The caller has said something, which is of no interest, or is gone. */
static void handle_caller(struct supervisor *supervisor)
{
	char nothing[512];

	if (read(supervisor->watch_fd, nothing, sizeof(nothing)) > 0)
		return;
	close(supervisor->watch_fd);
	supervisor->watch_fd = -1;
	log_verbose("%s: the caller is gone", supervisor->options->image);
	revert(supervisor);
}

/* ---- the helper ---- */

/* A helper that dies is replaced, and what it was to do is done again. */
static void handle_dead_helper(struct supervisor *supervisor)
{
	int r = -ECHILD;

	close(supervisor->helper_fd);
	supervisor->helper_fd = -1;
	waitpid(supervisor->helper, NULL, 0);
	supervisor->helper = 0;
	log_warning("%s: the helper was killed", supervisor->options->image);
	if (supervisor->helpers < HELPERS_MAX)
		r = understudy_start(supervisor);
	if (r < 0) {
		log_error("%s: cannot go on without a helper: %s", supervisor->options->image,
			  strerror(-r));
		supervisor->failed = true;
		stop_server(supervisor);
	}
}

static void handle_corrected(struct supervisor *supervisor, const struct message *message)
{
	supervisor->correction.type = 0;
	channel_send(supervisor->server_fd, message);
	if (message->value < 0 && !supervisor->usable && !supervisor->reverting) {
		log_error("%s: cannot set the size of the export: %s",
			  supervisor->place->mountpoint, strerror(-message->value));
		fail(supervisor);
	}
}

static void handle_unmounted(struct supervisor *supervisor, const struct message *message)
{
	supervisor->reverted = true;
	if (message->value == 0) {
		supervisor->unmounted = true;
	} else if (message->value == -EBUSY) {
		log_warning(
			"%s: the export is in use; detached it from %s, and serving it until the "
			"last user closes it (a second signal ends it at once)",
			supervisor->options->image, supervisor->place->mountpoint);
	} else {
		log_error("%s: cannot unmount: %s; still serving it", supervisor->place->mountpoint,
			  message->text);
	}
}

static void handle_helper(struct supervisor *supervisor)
{
	struct message message;

	if (channel_receive(supervisor->helper_fd, &message) != 1)
		handle_dead_helper(supervisor);
	else if (message.type == MESSAGE_CORRECTED)
		handle_corrected(supervisor, &message);
	else if (message.type == MESSAGE_UNMOUNTED)
		handle_unmounted(supervisor, &message);
	else if (message.type == MESSAGE_SYNCED)
		stop_server(supervisor);
}

/* ---- the server ---- */

/* Learn which mount is ours. Returns 0 or -errno. */
static int find_mount(struct supervisor *supervisor)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	const struct place *place = supervisor->place;
	int r;

	r = mountinfo_find_target(place->mountpoint, &entry);
	if (r < 0)
		return r;
	if (!mount_entry_is_ours(&entry) || strcmp(entry.source, place->source) != 0)
		return -ENOENT;
	return mount_identity_init(&supervisor->mount, &entry);
}

/* The server has mounted. Returns 0, or -errno after it was logged. */
static int adopt_mount(struct supervisor *supervisor)
{
	int r;

	r = find_mount(supervisor);
	if (r < 0) {
		log_error("%s: mounted, but /proc/self/mountinfo does not show it",
			  supervisor->place->mountpoint);
		return r;
	}
	r = understudy_start(supervisor);
	if (r < 0)
		log_error("%s: cannot start the helper: %s", supervisor->options->image,
			  strerror(-r));
	return r;
}

/* Say what the server has to say; it is printable, or becomes so. */
static void relay(struct supervisor *supervisor, struct message *message)
{
	bool is_error = message->value == LOG_ERR;

	log_printable(message->text);
	log_message(is_error                      ? LOG_ERR :
		    message->value == LOG_WARNING ? LOG_WARNING :
						    LOG_INFO,
		    message->text);
	if (is_error)
		snprintf(supervisor->complaint, sizeof(supervisor->complaint), "%s", message->text);
}

/* Returns false at the end of the server. */
static bool handle_server(struct supervisor *supervisor)
{
	struct message message;

	if (channel_receive(supervisor->server_fd, &message) != 1)
		return false;
	if (message.type == MESSAGE_LOG) {
		relay(supervisor, &message);
	} else if (message.type == MESSAGE_MOUNTED && !supervisor->mount.source) {
		if (adopt_mount(supervisor) < 0) {
			supervisor->failed = true;
			channel_tell(supervisor->server_fd, MESSAGE_STOP, 0);
		}
	} else if (message.type == MESSAGE_CORRECT && !supervisor->correction.type &&
		   supervisor->helper) {
		supervisor->correction = message;
		channel_send(supervisor->helper_fd, &message);
	} else if (message.type == MESSAGE_USABLE && !supervisor->usable &&
		   !supervisor->reverting) {
		supervisor->usable = true;
		if (announce(&supervisor->announcement, log_printable(message.text)) < 0)
			fail(supervisor);
	} else if (message.type == MESSAGE_ENDED) {
		supervisor->ended = true;
		supervisor->result = message.value;
	}
	return true;
}

/* ---- the loop ---- */

static void warn_of_lingering(struct supervisor *supervisor)
{
	supervisor->lingering = true;
	log_warning("%s: unmounted, but still mounted or in use elsewhere; serving it until that "
		    "ends (a second signal ends it at once)",
		    supervisor->options->image);
}

static void wait_for_end(struct supervisor *supervisor)
{
	for (;;) {
		struct pollfd sources[] = {
			{ .fd = supervisor->server_fd, .events = POLLIN },
			{ .fd = supervisor->helper_fd, .events = POLLIN },
			{ .fd = supervisor->signal_fd, .events = POLLIN },
			{ .fd = supervisor->watch_fd, .events = POLLIN },
		};
		bool waiting = supervisor->unmounted && !supervisor->lingering;
		int r = poll(sources, 4, waiting ? LINGER_TIMEOUT : -1);

		if (r < 0)
			continue; /* EINTR */
		if (r == 0)
			warn_of_lingering(supervisor);
		if (sources[0].revents && !handle_server(supervisor))
			return;
		if (sources[1].revents)
			handle_helper(supervisor);
		if (sources[2].revents)
			handle_signal(supervisor);
		if (sources[3].revents)
			handle_caller(supervisor);
	}
}

/* Say how the server has ended, where it did not say that itself. Returns 0 where all is well. */
static int judge(struct supervisor *supervisor, int status, bool was_dead)
{
	const char *name = supervisor->options->image;
	char *text = supervisor->complaint;
	size_t size = sizeof(supervisor->complaint);
	const char *what = supervisor->usable ? "; what had not been synced may be lost" :
						" before the export was usable";

	if (supervisor->ended && supervisor->result < 0)
		return supervisor->result;
	if (!supervisor->ended && status >= 0 && WIFSIGNALED(status))
		snprintf(text, size, "%s: the server was killed by SIG%s%s", name,
			 sigabbrev_np(WTERMSIG(status)), what);
	else if (!supervisor->ended)
		snprintf(text, size, "%s: the server was killed%s", name, what);
	else if (was_dead)
		snprintf(text, size,
			 "%s: serving ended: the connection was aborted; what its users had not "
			 "written back is lost",
			 name);
	else if (!supervisor->usable && !supervisor->failed)
		snprintf(text, size, "%s: ended before the export was usable", name);
	else
		return 0;
	log_error("%s", text);
	return -EIO;
}

/* The server has ended: remove the mount if it is still there. Returns whether it was. */
static bool remove_mount(struct supervisor *supervisor)
{
	struct stat st;

	/* it may have been killed before it told us; what is not dead is not what it has left */
	if (!supervisor->mount.source && (stat(supervisor->place->mountpoint, &st) == 0 ||
					  errno != ENOTCONN || find_mount(supervisor) < 0))
		return false;
	return helper_remove_dead_mount(&supervisor->mount);
}

/* The server has closed the channel. Wait for its end, and leave nothing of it. */
static int clean_up(struct supervisor *supervisor)
{
	struct pollfd ended = { .fd = supervisor->server_pidfd, .events = POLLIN };
	bool was_dead;
	int status, r;

	while (poll(&ended, 1, -1) < 0)
		; /* EINTR */
	/* where we are an heir it is not our child */
	if (waitpid(supervisor->server, &status, 0) < 0)
		status = -1;
	was_dead = remove_mount(supervisor);
	if (supervisor->helper) {
		channel_tell(supervisor->helper_fd, MESSAGE_QUIT, 0);
		waitpid(supervisor->helper, NULL, 0);
		close(supervisor->helper_fd);
	}
	r = judge(supervisor, status, was_dead);
	outcome_write(supervisor->outcome_fd, r, supervisor->complaint);
	mount_identity_finish(&supervisor->mount);
	return r < 0 || supervisor->failed ? 1 : 0;
}

/* ---- the beginning ---- */

/* In the process that becomes the server. */
static int be_server(const struct supervisor *supervisor, int channel)
{
	const struct server_start start = {
		.options = supervisor->options,
		.place = supervisor->place,
		.channel = channel,
	};
	sigset_t set;

	/* until there is a mount nothing is lost when it just dies */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return server_run(&start);
}

static int watch_server(struct supervisor *supervisor)
{
	int status;

	supervisor->server_pidfd = (int)syscall(SYS_pidfd_open, supervisor->server, 0);
	wait_for_end(supervisor);
	status = clean_up(supervisor);
	close(supervisor->server_pidfd);
	return status;
}

/* Fork the server. Returns the exit status of the process that it is in. */
static int start_server(struct supervisor *supervisor, struct inherited *inherited)
{
	const int keep[] = {
		supervisor->announcement.background_fd,
		supervisor->options->ready_fd,
		supervisor->watch_fd,
	};
	int ends[2], r;

	r = channel_create(ends);
	if (r == 0) {
		supervisor->server = fork();
		r = supervisor->server < 0 ? -errno : 0;
	}
	if (r < 0) {
		log_error("cannot start the server: %s", strerror(-r));
		return 1;
	}
	if (supervisor->server == 0) {
		close(ends[0]);
		r = be_server(supervisor, ends[1]);
		close(ends[1]);
		return r;
	}
	close(ends[1]);
	supervisor->server_fd = ends[0];
	/* what the caller holds open, a lock or a pipe, is not ours to keep for long */
	if (supervisor->options->daemonize)
		inherited_close(inherited, keep, sizeof(keep) / sizeof(keep[0]));
	r = watch_server(supervisor);
	close(supervisor->server_fd);
	return r;
}

/* Check that @fd, which @option names, is something, and keep it from programs that we start. */
static int take_descriptor(const char *option, int fd)
{
	struct stat st;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fstat(fd, &st) < 0) {
		log_error("--%s=%d: %s", option, fd, strerror(errno));
		return -EBADF;
	}
	/* a file would be at its end at once */
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)) {
		log_error("--%s=%d: is neither a pipe nor a socket nor a terminal", option, fd);
		return -EINVAL;
	}
	return 0;
}

int supervise(const struct options *options, const struct place *place, struct pidfile *pidfile,
	      int background_fd)
{
	struct supervisor supervisor = {
		.options = options,
		.place = place,
		.announcement = {
			.options = options,
			.pidfile = pidfile,
			.background_fd = background_fd,
		},
		.helper_fd = -1,
		.watch_fd = options->watch_fd ? options->watch_fd : -1,
	};
	_cleanup_close_ int signal_fd = -1, outcome_fd = -1;
	struct inherited inherited = { 0 };
	sigset_t set;
	int status;

	if (options->ready_fd && take_descriptor("ready-fd", options->ready_fd) < 0)
		return 1;
	if (options->watch_fd && take_descriptor("watch-fd", options->watch_fd) < 0)
		return 1;
	if (options->daemonize && inherited_note(&inherited) < 0) {
		log_error("cannot tell what is open: %s", strerror(errno));
		return 1;
	}
	end_signal_set(&set);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	outcome_fd = outcome_create();
	if (signal_fd < 0 || outcome_fd < 0) {
		log_error("cannot start: %s", strerror(errno));
		inherited_finish(&inherited);
		return 1;
	}
	supervisor.signal_fd = signal_fd;
	supervisor.outcome_fd = outcome_fd;
	status = start_server(&supervisor, &inherited);
	inherited_finish(&inherited);
	return status;
}
