/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounting a FUSE file system on a file that is held open, where one may mount: unlike a name, a
 * descriptor leads to the same file whatever becomes of the directories above it.
 */
#pragma once

#include "imgfmt.h"
#include "mountinfo.h"

struct attachment {
	int device_fd; /* the server's end of /dev/fuse, the caller's to close; or -1 */
	struct mount_identity identity; /* to be finished; without a source: there is none */
};

/*
 * Mount on @mountpoint_fd, a regular file. Nothing is asked of the file system yet, nor can be
 * answered. -EPERM or -ENOSYS where we may not mount like that, and nothing was done; other errors
 * with words in @reterr.
 */
int attach(struct attachment *ret, int mountpoint_fd, const char *source, unsigned int max_read,
	   bool read_only, bool allow_other, struct imgfmt_error *reterr);
