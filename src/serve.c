/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One loop over three sources of events: signals, finished jobs of the helper, and the end of the
 * serving threads, which ends it.
 */
#include "serve.h"

#include "cleanup.h"
#include "helper.h"
#include "log.h"
#include "mountinfo.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long after an unmount the end of the session may take before it is worth a word, in ms. */
#define LINGER_TIMEOUT 2000

/* How often a stopped session is told again, in ms: a thread may miss it just before it waits. */
#define STOP_INTERVAL 20

struct server {
	struct session *session;
	struct helper helper;
	int (*ready)(void *userdata);
	void *userdata;
	unsigned int signals; /* how many asked us to end */
	bool reverting;       /* an unmount was asked for */
	bool unmounted;       /* and has succeeded, so that the end must be near */
	int result;           /* the first failure */
};

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP };

static void end_signal_set(sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		sigaddset(ret, end_signals[i]);
}

void serve_block_signals(void)
{
	sigset_t set;

	end_signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		signal(end_signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

static void revert(struct server *server)
{
	if (server->reverting)
		return;
	server->reverting = true;
	helper_post(&server->helper, HELPER_UNMOUNT);
}

static void fail(struct server *server, int r)
{
	if (server->result == 0)
		server->result = r;
	revert(server);
}

static void handle_primed(struct server *server)
{
	struct export_inode *inode = server->session->inode;
	int r = server->helper.prime_result;

	/* later ones correct the size; where the mount is detached meanwhile they need not */
	if (inode->usable || server->reverting)
		return;
	if (r < 0) {
		log_error("%s: cannot set the size of the export: %s", server->session->mountpoint,
			  strerror(-r));
		fail(server, r);
		return;
	}
	inode->usable = true;
	r = server->ready(server->userdata);
	if (r < 0)
		fail(server, r);
}

static void handle_unmounted(struct server *server)
{
	const char *name = server->session->inode->name;
	int r = server->helper.unmount_result;

	if (r == 0) {
		server->unmounted = true;
	} else if (r == -EBUSY) {
		log_warning(
			"%s: the export is in use; detached it from %s, and serving it until the "
			"last user closes it (a second signal ends it at once)",
			name, server->session->mountpoint);
	} else {
		log_error("%s: cannot unmount: %s; still serving it", server->session->mountpoint,
			  server->helper.unmount_error.text);
	}
}

static void handle_helper(struct server *server)
{
	unsigned int jobs = helper_take(&server->helper);

	if (jobs & HELPER_PRIME)
		handle_primed(server);
	if (jobs & HELPER_UNMOUNT)
		handle_unmounted(server);
	if (jobs & HELPER_SYNC)
		session_stop(server->session);
}

static void handle_signal(struct server *server, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	server->signals++;
	log_verbose("%s: got SIG%s", server->session->inode->name,
		    sigabbrev_np((int)info.ssi_signo));
	if (server->signals == 1)
		revert(server);
	else if (server->signals == 2)
		helper_post(&server->helper, HELPER_SYNC);
	else
		session_stop(server->session);
}

/* Serve until the threads have ended. */
static void wait_for_end(struct server *server, int signal_fd)
{
	struct pollfd sources[] = {
		{ .fd = server->session->ended_fd, .events = POLLIN },
		{ .fd = server->helper.event_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};
	bool lingering = false;

	for (;;) {
		int timeout = server->session->stopped        ? STOP_INTERVAL :
			      server->unmounted && !lingering ? LINGER_TIMEOUT :
								-1;
		int r = poll(sources, 3, timeout);

		if (r < 0)
			continue; /* EINTR */
		if (sources[0].revents)
			return;
		if (r == 0 && server->session->stopped)
			session_stop(server->session);
		if (r == 0 && server->unmounted && !lingering) {
			lingering = true;
			log_warning(
				"%s: unmounted, but still mounted or in use elsewhere; serving it "
				"until that ends (a second signal ends it at once)",
				server->session->inode->name);
		}
		if (sources[1].revents)
			handle_helper(server);
		if (sources[2].revents)
			handle_signal(server, signal_fd);
	}
}

/* The mount is there but nobody can serve it. */
static int give_up(struct session *session, int r)
{
	log_error("%s: cannot start serving: %s", session->inode->name, strerror(-r));
	session_finish(session);
	return r;
}

int serve(struct session *session, int (*ready)(void *userdata), void *userdata)
{
	struct server server = { .session = session, .ready = ready, .userdata = userdata };
	_cleanup_close_ int signal_fd = -1;
	sigset_t set;
	int r;

	end_signal_set(&set);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return give_up(session, -errno);
	r = helper_start(&server.helper, session);
	if (r < 0)
		return give_up(session, r);
	r = session_start(session);
	if (r < 0) {
		helper_finish(&server.helper);
		return give_up(session, r);
	}
	session_tune(session);
	helper_post(&server.helper, HELPER_PRIME);
	wait_for_end(&server, signal_fd);

	if (session->stopped) {
		log_error("%s: ended while the export was in use; what its users had not written "
			  "back by then is lost",
			  session->inode->name);
		server.result = -EIO;
	}
	r = session_disconnect(session);
	helper_finish(&server.helper);
	session_finish(session);
	if (r < 0 && server.result == 0) {
		log_error("%s: serving ended: %s; what its users had not written back is lost",
			  session->inode->name, strerror(-r));
		server.result = r;
	}
	return server.result;
}
