/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open, mount, serve, close.
 *
 * The image, and all that it refers to, is open and locked before the mount, which may lie over it:
 * from then on the image's path leads to ourselves and is used no more.
 */
#include "server.h"

#include "array.h"
#include "background.h"
#include "channel.h"
#include "cleanup.h"
#include "disk.h"
#include "export.h"
#include "imgfmt.h"
#include "info.h"
#include "inherited.h"
#include "log.h"
#include "serve.h"
#include "session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static void log_to_supervisor(void *userdata, int priority, const char *text)
{
	const int *channel = userdata;
	struct message message = { .type = MESSAGE_LOG, .value = priority };

	/* a supervisor who is stopped, by ^Z say, must not stop the server */
	stpncpy(message.text, text, sizeof(message.text) - 1);
	channel_try_send(*channel, &message);
}

/* Write everything out, and say so where that fails: the image is not what it should be. */
static int close_image(struct imgfmt_image *image, const struct options *options)
{
	int r = imgfmt_close(image);

	if (r < 0)
		log_error("%s: the image is not complete: writing the last of it failed: %s",
			  options->image, strerror(-r));
	return r;
}

static void describe(const struct export_inode *inode, char *text, size_t size)
{
	struct imgfmt_info info;

	imgfmt_get_info(inode->image, &info);
	snprintf(text, size, "%s, %s, %s", info.format, human_size(info.size).text,
		 inode->read_only ? "read-only" : "read-write");
}

/*
 * Leave the caller's terminal: what is typed there is for the supervisor, and what is said there he
 * says. Without a sandbox keep standard error in the foreground, for who looks for a mistake.
 */
static int leave(const struct server_start *start)
{
	int r;

	/* being told to end is, from here on, the supervisor's business too */
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	r = background_detach(start->options->daemonize);
	if (r < 0 || start->lastwords_fd < 0)
		return r;
	if (dup2(start->lastwords_fd, STDERR_FILENO) < 0)
		return -errno;
	close(start->lastwords_fd);
	return 0;
}

static int mount_disk(struct session *session, struct export_inode *inode, const struct disk *disk,
		      const struct place *place, bool allow_other, struct imgfmt_error *reterr)
{
	_cleanup_close_ int held = place_hold(place, &disk->stat, reterr), claim_fd = -1;
	int r;

	if (held < 0)
		return held;
	r = place_claim(place, held, &claim_fd, reterr);
	if (r < 0)
		return r;
	r = session_mount(session, inode, place->mountpoint, held, place->source, allow_other,
			  reterr);
	if (r == 0)
		session->claim_fd = steal_fd(&claim_fd);
	return r;
}

static int serve_disk(struct disk *disk, const struct server_start *start)
{
	const struct options *options = start->options;
	struct imgfmt_error why;
	struct session session;
	struct export_inode inode;
	char description[128];
	bool allow_other;
	int r, lost;

	r = session_choose_allow_other(options->allow_other, &allow_other, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return r;
	}
	/* a name from the command line says little in the system's log */
	export_init(&inode, disk->image, options->daemonize ? start->place->image : options->image,
		    options, &disk->stat, disk->host_fd);
	log_verbose("%s: cache %s, %s, space freed is %s, other users %s", options->image,
		    cache_mode_name(inode.cache), inode.read_only ? "read-only" : "read-write",
		    options->discard ? "given back" : "kept",
		    allow_other ? "let in" : "not let in");
	describe(&inode, description, sizeof(description));
	r = mount_disk(&session, &inode, disk, start->place, allow_other, &why);
	if (r < 0)
		log_error("%s: %s", options->mountpoint, why.text);
	else
		r = serve(&session, start->channel, description, options->sandbox);
	lost = losses_error(&inode.losses);
	if (lost < 0) {
		/* the kernel has forgotten it, and perhaps there was nobody left to be told */
		log_error("%s: the image is not complete: writing to it failed: %s", options->image,
			  strerror(-lost));
		r = r < 0 ? r : lost;
	}
	export_finish(&inode);
	return r;
}

static int open_and_serve(const struct server_start *start)
{
	const struct options *options = start->options;
	const int keep[] = { start->channel, start->outcome_fd, start->lastwords_fd };
	struct inherited inherited;
	struct imgfmt_info info;
	struct disk disk;
	int r, closed;

	r = inherited_note(&inherited);
	if (r < 0) {
		log_error("cannot tell what is open, by /proc/self/fd: %s", strerror(-r));
		return r;
	}
	r = disk_open(&disk, options, options->read_only);
	inherited_close(&inherited, keep, ARRAY_LENGTH(keep));
	if (r < 0)
		return r;
	imgfmt_get_info(disk.image, &info);
	log_verbose("%s: format %s (%s), locked as QEMU does", options->image, info.format,
		    info.detected ? "detected" : "as stated");
	/* to fill it by writing makes sense, and any other use is more likely a mistake */
	if (info.host_size == 0 && !options->growable)
		log_warning("%s: is empty, and so is the disk%s", options->image,
			    start->place->in_place ?
				    "" :
				    "; IMAGE is the first argument and MOUNTPOINT the second");
	r = leave(start);
	if (r < 0)
		log_error("cannot leave the terminal: %s", strerror(-r));
	else
		r = serve_disk(&disk, start);
	closed = close_image(disk.image, options);
	return r < 0 ? r : closed;
}

int server_run(const struct server_start *start)
{
	int channel = start->channel, r;

	prctl(PR_SET_NAME, "imgfuse-server");
	/* memory that we ask for must not wait for our own dirty pages; where that is permitted */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	log_to(log_to_supervisor, &channel);
	r = open_and_serve(start);
	channel_tell(channel, MESSAGE_ENDED, r);
	log_to(NULL, NULL);
	return r < 0 ? 1 : 0;
}
