/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One loop over the sources of events: signals, the caller, the helper, and the server, whose end
 * ends it.
 */
#include "supervisor.h"

#include "announcement.h"
#include "caller.h"
#include "channel.h"
#include "cleanup.h"
#include "helper.h"
#include "inherited.h"
#include "lastwords.h"
#include "log.h"
#include "mountinfo.h"
#include "outcome.h"
#include "sandbox.h"
#include "server.h"
#include "signals.h"
#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* In how many ms DEATHS_MAX helpers may not die. */
#define DEATHS_INTERVAL 60000

/* ---- the caller ---- */

/* Whoever has the other end of --watch-fd is gone. */
static void handle_caller(struct supervisor *supervisor)
{
	close(supervisor->watch_fd);
	supervisor->watch_fd = -1;
	if (supervisor->step == STEP_SERVE && !supervisor->usable) {
		shutdown_fail(supervisor);
		log_error("%s: --watch-fd was closed before the export was usable",
			  supervisor->options->image);
	} else {
		shutdown_begin(supervisor);
		log_verbose("%s: the caller is gone", supervisor->options->image);
	}
}

/* ---- the helper ---- */

/* Does something kill them that will not stop? */
static bool too_many_deaths(struct supervisor *supervisor)
{
	int64_t now = now_in_ms(), *deaths = supervisor->deaths;
	bool too_many = deaths[0] > 0 && now - deaths[0] <= DEATHS_INTERVAL;

	memmove(deaths, deaths + 1, sizeof(supervisor->deaths) - sizeof(*deaths));
	deaths[DEATHS_MAX - 2] = now;
	return too_many;
}

static void say_how_it_died(const struct supervisor *supervisor, int status)
{
	if (WIFSIGNALED(status))
		log_warning("%s: the helper was killed by SIG%s", supervisor->options->image,
			    sigabbrev_np(WTERMSIG(status)));
	else
		log_warning("%s: the helper has ended with status %d", supervisor->options->image,
			    WEXITSTATUS(status));
}

/* A helper that dies is replaced, and what it was to do is done again. */
static void handle_dead_helper(struct supervisor *supervisor)
{
	bool too_many = too_many_deaths(supervisor);
	unsigned int heirs = supervisor->heirs;
	int status = 0, r = 0;

	close(supervisor->helper_fd);
	supervisor->helper_fd = -1;
	waitpid(supervisor->helper, &status, 0);
	supervisor->helper = 0;
	if (!too_many)
		r = understudy_start(supervisor);
	/* the helper that this has started may have come back as the supervisor */
	if (supervisor->heirs > heirs)
		return;
	if (too_many || r < 0) {
		supervisor->failed = true;
		shutdown_stop_server(supervisor);
	}
	say_how_it_died(supervisor, status);
	if (too_many)
		log_error("%s: the helper died %d times within a minute; ending the export",
			  supervisor->options->image, DEATHS_MAX);
	else if (r < 0)
		log_error("%s: cannot start another helper, ending the export: %s",
			  supervisor->options->image, strerror(-r));
}

/*
 * The helper may change the size of the disk who is not yet, or no more, known as him to the
 * server: so the server says whom he means. What is not for this one he will ask for again.
 */
static void handle_correct(struct supervisor *supervisor, const struct message *message)
{
	if (!supervisor->helper || message->helper != supervisor->helper || supervisor->correcting)
		return;
	supervisor->correcting = true;
	channel_send(supervisor->helper_fd, message);
}

static void handle_corrected(struct supervisor *supervisor, const struct message *message)
{
	supervisor->correcting = false;
	supervisor_tell_server(supervisor, message);
	if (message->value < 0 && !supervisor->usable && supervisor->step == STEP_SERVE) {
		log_error("%s: cannot set the size of the export: %s",
			  supervisor->place->mountpoint, strerror(-message->value));
		shutdown_fail(supervisor);
	}
}

static void handle_helper(struct supervisor *supervisor)
{
	struct message message;

	if (channel_receive(supervisor->helper_fd, &message) != 1)
		handle_dead_helper(supervisor);
	else if (message.type == MESSAGE_READY)
		understudy_introduce(supervisor);
	else if (message.type == MESSAGE_CORRECTED)
		handle_corrected(supervisor, &message);
	else if (message.type == MESSAGE_UNMOUNTED)
		shutdown_handle_unmounted(supervisor, &message);
	else if (message.type == MESSAGE_SYNCED)
		shutdown_handle_synced(supervisor);
}

/* ---- the server ---- */

/* There is room for hundreds of messages. One in its senses, even if it is stopped, has a few. */
void supervisor_tell_server(const struct supervisor *supervisor, const struct message *message)
{
	if (channel_try_send(supervisor->server_fd, message) != -EAGAIN)
		return;
	supervisor_kill_server(supervisor, SIGKILL);
	log_error("%s: the server does not listen any more", supervisor->options->image);
}

/* What another user has mounted can say that it is an export, and of what, but not whose. */
static bool looks_like_ours(const struct mount_entry *entry, const struct place *place)
{
	return mount_entry_is_ours(entry) && entry->user == getuid() &&
	       strcmp(entry->source, place->source) == 0 &&
	       strcmp(entry->target, place->mountpoint) == 0;
}

int supervisor_find_mount(struct supervisor *supervisor, dev_t device, uint64_t unique)
{
	CLEANUP(mount_identity_finish)
	struct mount_identity identity = {
		.device = device,
		.unique = unique,
		.source = strdup(supervisor->place->source),
		.directory_fd = supervisor->directory_fd,
	};
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	int r;

	if (!identity.source)
		return -ENOMEM;
	if (device)
		r = mountinfo_find_identity(&identity, &entry);
	else
		r = mountinfo_find_target(supervisor->place->mountpoint, &entry);
	if (r < 0)
		return r;
	if (!looks_like_ours(&entry, supervisor->place))
		return -ENOENT;
	if (!device) {
		mount_identity_finish(&identity);
		r = mount_identity_init(&identity, &entry);
		identity.directory_fd = supervisor->directory_fd;
	}
	identity.id = entry.id;
	if (r < 0)
		return r;
	supervisor->mount = identity;
	identity = (struct mount_identity){ 0 };
	return 0;
}

/* The server has mounted. Returns 0, or -errno after it was logged. */
static int adopt_mount(struct supervisor *supervisor, const struct message *message)
{
	int r;

	r = supervisor_find_mount(supervisor, message->device, message->unique);
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

/* Returns false where nothing more is to be heard from the server. */
static bool handle_server(struct supervisor *supervisor)
{
	const struct message stop = { .type = MESSAGE_STOP };
	struct message message;
	int r;

	r = channel_receive(supervisor->server_fd, &message);
	if (r < 0)
		log_error("%s: the server cannot be understood: %s", supervisor->options->image,
			  strerror(-r));
	if (r != 1)
		return false;
	if (message.type == MESSAGE_LOG) {
		relay(supervisor, &message);
	} else if (message.type == MESSAGE_MOUNTED && !supervisor->mount.source) {
		if (adopt_mount(supervisor, &message) < 0) {
			supervisor->failed = true;
			supervisor_tell_server(supervisor, &stop);
		}
	} else if (message.type == MESSAGE_CORRECT) {
		handle_correct(supervisor, &message);
	} else if (message.type == MESSAGE_USABLE && !supervisor->usable &&
		   supervisor->step == STEP_SERVE) {
		supervisor->usable = true;
		if (announce(&supervisor->announcement, log_printable(message.text)) < 0)
			shutdown_fail(supervisor);
	} else if (message.type == MESSAGE_ENDED) {
		supervisor->ended = true;
		supervisor->result = message.value;
		/* for who goes on if we are killed: it is not said twice */
		outcome_write(supervisor->outcome_fd, message.value, supervisor->complaint);
	}
	return !supervisor->ended;
}

/* ---- the loop ---- */

static void wait_for_end(struct supervisor *supervisor)
{
	while (!supervisor->ended) {
		struct pollfd sources[] = {
			{ .fd = supervisor->server_fd, .events = POLLIN },
			{ .fd = supervisor->helper_fd, .events = POLLIN },
			{ .fd = supervisor->signal_fd, .events = POLLIN },
			{ .fd = supervisor->watch_fd, .events = CALLER_GONE },
		};

		if (poll(sources, 4, shutdown_time_left(supervisor)) < 0)
			continue; /* EINTR */
		if (sources[0].revents && !handle_server(supervisor))
			return;
		if (sources[1].revents)
			handle_helper(supervisor);
		if (sources[2].revents)
			shutdown_handle_signal(supervisor);
		if (sources[3].revents)
			handle_caller(supervisor);
		if (shutdown_time_left(supervisor) == 0)
			shutdown_handle_deadline(supervisor);
	}
}

/* ---- the beginning ---- */

/* In the process that becomes the server. */
static int be_server(const struct supervisor *supervisor, int channel)
{
	const struct server_start start = {
		.options = supervisor->options,
		.place = supervisor->place,
		.channel = channel,
		.outcome_fd = supervisor->outcome_fd,
		.lastwords_fd = supervisor->lastwords_fd,
	};
	sigset_t set;

	/* until there is a mount nothing is lost when it just dies */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	outcome_protect(supervisor->outcome_fd);
	return server_run(&start);
}

static int watch_server(struct supervisor *supervisor)
{
	supervisor->server_pidfd = (int)syscall(SYS_pidfd_open, supervisor->server, 0);
	if (supervisor->server_pidfd < 0) {
		log_error("%s: cannot watch the server: %s", supervisor->options->image,
			  strerror(errno));
		supervisor->failed = true;
	} else {
		wait_for_end(supervisor);
	}
	return supervisor_clean_up(supervisor);
}

/*
 * The directory that the mount point is in, as O_PATH and never 0; or -errno. Where another one has
 * just been mounted over it, the export is found by its path, see mount_identity_path().
 */
static int open_directory(const struct place *place)
{
	_cleanup_free_ char *directory = strdup(place->mountpoint);
	char *slash = directory ? strrchr(directory, '/') : NULL;
	_cleanup_close_ int fd = -1;
	struct statx stx;
	int own;

	if (!slash)
		return -ENOMEM;
	*slash = '\0';
	fd = open(slash == directory ? "/" : directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* what another one has mounted there is asked nothing, and may let us not in */
	if (statx(fd, slash + 1, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) < 0 &&
	    errno != EACCES)
		return -errno;
	own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return own < 0 ? -errno : own;
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

int supervise(const struct options *options, const struct place *place, struct pidfile *pidfile,
	      const sigset_t *signals, int background_fd)
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
	_cleanup_close_ int signal_fd = -1, outcome_fd = -1, lastwords_fd = -1, directory_fd = -1;
	const bool confined = options->sandbox && sandbox_is_built();
	struct inherited inherited = { 0 };
	int status;

	if (options->daemonize && inherited_note(&inherited) < 0) {
		log_error("cannot tell what is open, by /proc/self/fd: %s", strerror(errno));
		return 1;
	}
	/* what the server starts, and leaves when it dies, is ours to end */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal_fd = signals_open(signals);
	outcome_fd = outcome_create();
	if (confined)
		lastwords_fd = lastwords_create();
	if (signal_fd < 0 || outcome_fd < 0 || (confined && lastwords_fd < 0)) {
		log_error("cannot start: %s", strerror(errno));
		inherited_finish(&inherited);
		return 1;
	}
	directory_fd = open_directory(place);
	if (directory_fd < 0) {
		log_error("%s: %s", options->mountpoint, strerror(-directory_fd));
		inherited_finish(&inherited);
		return 1;
	}
	supervisor.signal_fd = signal_fd;
	supervisor.directory_fd = directory_fd;
	supervisor.outcome_fd = outcome_fd;
	supervisor.lastwords_fd = lastwords_fd;
	status = start_server(&supervisor, &inherited);
	inherited_finish(&inherited);
	return status;
}
