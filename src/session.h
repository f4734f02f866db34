/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mount of one export, and the threads that serve it.
 *
 * The threads serve until the kernel says that the mount is gone, whoever unmounted it: ending a
 * session means unmounting it and waiting. (libfuse's own fuse_session_unmount() stops serving
 * first, and so loses what the kernel has yet to write back.)
 */
#pragma once

#include "export.h"
#include "imgfmt.h"
#include "mountinfo.h"

#include <sys/types.h>

struct fuse_session;
struct workers;

struct session {
	struct export_inode *inode;
	struct fuse_session *fuse;
	char *mountpoint;               /* absolute; where it was mounted */
	struct mount_identity identity; /* what was mounted by ourselves; or without a source */
	struct workers *workers;
	int claim_fd; /* keeps others from mounting there too, until it is usable; or -1 */
	int ended_fd; /* readable once the threads have ended */
	bool stopped; /* session_stop() was called */
	int result;   /* why they ended: 0 for the end of the mount */
};

/*
 * Decide whether other users are let in. An ordinary user may do so only where /etc/fuse.conf
 * permits it: -EPERM where @choice insists.
 */
int session_choose_allow_other(enum allow_other choice, bool *ret, struct imgfmt_error *reterr);

/*
 * Mount @inode on the file that @mountpoint_fd is of, or where one may not do so oneself, by
 * fusermount3 at its absolute path @mountpoint, with @source as what it shows. Starts no thread.
 * After a failure nothing is mounted, and *reterr says why.
 */
int session_mount(struct session *session, struct export_inode *inode, const char *mountpoint,
		  int mountpoint_fd, const char *source, bool allow_other,
		  struct imgfmt_error *reterr);

/*
 * Start serving, in threads of its own; if @sandbox, from the sandbox, which the process can leave
 * no more.
 */
int session_start(struct session *session, bool sandbox);

/* The export is usable, so that everybody sees it: no claim to its place is needed any more. */
void session_end_claim(struct session *session);

/*
 * Tell the threads to end though the mount is still there. May have to be called again, until
 * session->ended_fd becomes readable.
 */
void session_stop(struct session *session);

/*
 * Is the mount still there, and could so lose something by the threads ending? Not once
 * session_disconnect() was called.
 */
bool session_is_mounted(const struct session *session);

/*
 * Wait for the threads, once session->ended_fd is readable or none were started, and close the
 * kernel's end, which wakes whoever waits for an answer. A mount that was never served is removed;
 * one that is still there after the threads were stopped is dead then. Returns why they ended.
 */
int session_disconnect(struct session *session);

/* Free what @session holds, and disconnect it before if that was not done. */
void session_finish(struct session *session);
