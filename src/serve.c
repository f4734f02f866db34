/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One loop over three sources of events: the supervisor, the workers who find that something must
 * be corrected, and the end of the workers, which ends it.
 */
#include "serve.h"

#include "align.h"
#include "channel.h"
#include "cleanup.h"
#include "identity.h"
#include "lock.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How often a stopped session is told again, in ms: a worker may miss it just before it waits. */
#define STOP_INTERVAL 20

struct server {
	struct session *session;
	int channel;
	const char *description;
	bool sandbox;
	atomic_uint wanted; /* enum correction, which workers have asked for */
	int wanted_fd;      /* readable while there are */
	pthread_mutex_t range_lock;
	uint64_t range[2];  /* with CORRECT_CACHE: all that is to be dropped lies in there */
	bool correcting;    /* one at a time, */
	unsigned int asked; /* which has these */
};

/* ---- corrections ---- */

static void want(struct server *server, unsigned int corrections)
{
	uint64_t one = 1;

	atomic_fetch_or(&server->wanted, corrections);
	if (write(server->wanted_fd, &one, sizeof(one)) < 0)
		abort(); /* the main thread takes the events long before there are 2^64 */
}

static void want_settled(void *userdata)
{
	want(userdata, CORRECT_ERROR | CORRECT_SIZE);
}

static void want_dropped(void *userdata, uint64_t guest_offset, uint64_t end)
{
	struct server *server = userdata;

	{
		LOCKED(&server->range_lock);
		server->range[0] = min_u64(server->range[0], guest_offset);
		server->range[1] = max_u64(server->range[1], end);
	}
	want(server, CORRECT_CACHE);
}

static void take_range(struct server *server, uint64_t ret[2])
{
	LOCKED(&server->range_lock);
	ret[0] = server->range[0];
	ret[1] = server->range[1];
	server->range[0] = UINT64_MAX;
	server->range[1] = 0;
}

/* Ask the helper for what is wanted, unless he is at work: asking twice is asking once. */
static void ask_for_corrections(struct server *server)
{
	struct export_inode *inode = server->session->inode;
	struct message message = { .type = MESSAGE_CORRECT };
	struct stat st;
	unsigned int wanted;

	if (server->correcting)
		return;
	wanted = atomic_exchange(&server->wanted, 0);
	/*
	 * Not while somebody writes, who may be about to cause an error of his own: it would be
	 * taken from him. When he is through this comes again.
	 */
	if (wanted & CORRECT_ERROR &&
	    (inode->writers > 0 || !atomic_exchange(&inode->refused, false)))
		wanted &= ~(unsigned int)CORRECT_ERROR;
	if (wanted & CORRECT_SIZE && inode->usable && (inode->writers > 0 || !inode->oversized))
		wanted &= ~(unsigned int)CORRECT_SIZE;
	if (inode->cache != CACHE_WRITEBACK)
		wanted &= CORRECT_ERROR | CORRECT_CACHE;
	if (!wanted && inode->usable)
		return;
	export_get_attributes(inode, &st);
	server->asked = wanted;
	message.helper = inode->helper;
	message.value = (int32_t)wanted;
	message.size = (uint64_t)st.st_size;
	message.times[0] = st.st_atim;
	message.times[1] = st.st_mtim;
	if (wanted & CORRECT_CACHE)
		take_range(server, message.range);
	server->correcting = true;
	channel_send(server->channel, &message);
}

/*
 * The supervisor ends what cannot be corrected even once. Corrections that fail later do so because
 * the mount is detached meanwhile, which needs none.
 */
static void handle_corrected(struct server *server, int r)
{
	struct export_inode *inode = server->session->inode;
	struct message usable = { .type = MESSAGE_USABLE };

	server->correcting = false;
	if (!inode->usable) {
		if (r < 0)
			return;
		inode->usable = true;
		session_end_claim(server->session);
		stpncpy(usable.text, server->description, sizeof(usable.text) - 1);
		channel_send(server->channel, &usable);
	}
	ask_for_corrections(server);
}

/* Learn who looks after the mount. What another one was asked for is asked for again, as of now. */
static void handle_helper(struct server *server, const struct message *message)
{
	struct export_inode *inode = server->session->inode;

	inode->supervisor = message->supervisor;
	inode->helper = message->helper;
	if (!server->correcting)
		return;
	server->correcting = false;
	if (server->asked & CORRECT_ERROR)
		inode->refused = true;
	atomic_fetch_or(&server->wanted, server->asked);
	if (server->asked & CORRECT_CACHE)
		want_dropped(server, 0, UINT64_MAX);
	ask_for_corrections(server);
}

/*
 * Nobody looks after it any more, so that it serves until somebody unmounts. But what was never
 * usable shows an empty disk, and will show nothing else: then it ends, and the mount is dead.
 */
static void handle_loneliness(struct server *server)
{
	struct export_inode *inode = server->session->inode;

	if (!inode->usable)
		session_stop(server->session);

	/* not 0, which a caller in another PID namespace has */
	inode->supervisor = -1;
	inode->helper = -1;
}

/* ---- the loop ---- */

/* Returns false when there is no supervisor any more: then the end of the mount is waited for. */
static bool handle_supervisor(struct server *server)
{
	struct message message;

	if (channel_receive(server->channel, &message) != 1) {
		handle_loneliness(server);
		return false;
	}
	if (message.type == MESSAGE_CORRECTED) {
		handle_corrected(server, message.value);
	} else if (message.type == MESSAGE_HELPER) {
		handle_helper(server, &message);
	} else if (message.type == MESSAGE_STOP) {
		session_stop(server->session);
	}
	return true;
}

/* Serve until the workers have ended. */
static void wait_for_end(struct server *server)
{
	struct pollfd sources[] = {
		{ .fd = server->session->ended_fd, .events = POLLIN },
		{ .fd = server->wanted_fd, .events = POLLIN },
		{ .fd = server->channel, .events = POLLIN },
	};
	uint64_t count;

	for (;;) {
		int r = poll(sources, 3, server->session->stopped ? STOP_INTERVAL : -1);

		if (r < 0)
			continue; /* EINTR */
		if (sources[0].revents)
			return;
		if (r == 0)
			session_stop(server->session);
		if (sources[1].revents && read(server->wanted_fd, &count, sizeof(count)) > 0)
			ask_for_corrections(server);
		if (sources[2].revents && !handle_supervisor(server))
			sources[2].fd = -1;
	}
}

/* Tell of the mount, and hear who will look after it. */
static int introduce(struct server *server)
{
	struct export_inode *inode = server->session->inode;
	struct message message = {
		.type = MESSAGE_MOUNTED,
		.device = server->session->identity.device,
		.unique = server->session->identity.unique,
	};
	int r;

	r = channel_send(server->channel, &message);
	if (r < 0)
		return r;
	r = channel_receive(server->channel, &message);
	if (r != 1 || message.type != MESSAGE_HELPER)
		return r < 0 ? r : -EPIPE;
	handle_helper(server, &message);
	inode->outcome_fd = message.value;
	inode->pid_namespace = identity_own_namespace();
	return 0;
}

static int start(struct server *server)
{
	struct export_inode *inode = server->session->inode;
	int r;

	if (server->wanted_fd < 0)
		return -errno;
	inode->settle = want_settled;
	inode->drop_cache = want_dropped;
	inode->userdata = server;
	r = introduce(server);
	return r < 0 ? r : session_start(server->session, server->sandbox);
}

int serve(struct session *session, int channel, const char *description, bool sandbox)
{
	_cleanup_close_ int wanted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct server server = {
		.session = session,
		.channel = channel,
		.description = description,
		.sandbox = sandbox,
		.wanted = CORRECT_SIZE | CORRECT_TIMES,
		.wanted_fd = wanted_fd,
		.range_lock = PTHREAD_MUTEX_INITIALIZER,
		.range = { UINT64_MAX, 0 },
	};
	bool stopped;
	int r;

	r = start(&server);
	if (r < 0) {
		/* the mount is there but nobody can serve it */
		log_error("%s: cannot start serving: %s", session->inode->name, strerror(-r));
		session_finish(session);
		return r;
	}
	ask_for_corrections(&server);
	wait_for_end(&server);

	/* told to stop when all was over, it has cut nothing short */
	stopped = session->stopped && session_is_mounted(session);
	r = session_disconnect(session);
	session_finish(session);
	if (stopped) {
		log_error("%s: ended while the export was in use; what its users had not written "
			  "back by then is lost",
			  session->inode->name);
		return -EIO;
	}
	if (r < 0)
		log_error("%s: serving ended: %s; what its users had not written back is lost",
			  session->inode->name, strerror(-r));
	return r;
}
