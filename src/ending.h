/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for the processes of an export that is to end, and learning how that went.
 */
#pragma once

#include "identity.h"
#include "imgfmt.h"
#include "mountinfo.h"

struct process {
	pid_t pid;
	int fd; /* readable once it has ended; -1: it has, or is unknown */
};

struct ending {
	struct process server, supervisor, helper;
	int outcome_fd; /* or why there is none: -errno */
	bool vouched;   /* not only the server says that they are its processes */
};

#define ENDING_NONE                         \
	((struct ending){                   \
		.server = { .fd = -1 },     \
		.supervisor = { .fd = -1 }, \
		.helper = { .fd = -1 },     \
		.outcome_fd = -ENOENT,      \
	})

/*
 * Get hold of the processes of the export of @entry, while they are there. The server says where to
 * look for the outcome, and the supervisor says there who they are. Where that may not be looked
 * into, what the server says has to do. They have to be the user's who has mounted it.
 *
 * Returns 0, or what leaves nobody to wait for: -EPROTO, the export is one of another version;
 * -EXDEV, they are in another PID namespace; -EPERM, they are not that user's; -EBADF, nobody
 * vouches for them; -ESRCH, there is no server. @ret is to be finished in any case.
 */
int ending_open(struct ending *ret, const struct mount_entry *entry,
		const struct identity *identity);

void ending_finish(struct ending *ending);

/* Is the server still there? */
bool ending_has_server(const struct ending *ending);

/*
 * Wait until the export has ended. Those of its processes that somebody has stopped are made to go
 * on, if they are vouched for. After @patience ms a message says for whom we wait, unless that is
 * -1; @path is for messages.
 * Returns 0 where the image is final, or -errno with the reason in @reterr.
 */
int ending_wait(const struct ending *ending, int patience, const char *path,
		struct imgfmt_error *reterr);
