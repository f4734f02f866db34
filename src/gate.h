/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which files an image may refer to, and opening them: the daemon's answer to the names that
 * stand in images, which are written by strangers.
 */
#pragma once

#include "imgfmt.h"

#include <sys/types.h>

/*
 * Find the path that a reference means, as QEMU does: an absolute name as it is, another one
 * relative to the directory part of its referrer's path as it was given (a symlink is not followed
 * for that). "file:NAME" means NAME, relative to the working directory. Names of protocols
 * ("nbd://...", "json:{...}") are refused. Touches no file.
 *
 * Sets *ret to a path that the caller frees.
 */
int gate_resolve(const struct imgfmt_reference *reference, char **ret, struct imgfmt_error *reterr);

/* Which references are followed. */
enum references {
	REFERENCES_OWNER, /* as root: what the owner of the image, and of all above, could open */
	REFERENCES_ALL,
	REFERENCES_DENY,
};

/* What the user says of the files that an image refers to. */
struct gate {
	enum references references;
	const char *image;     /* the image that these two are for, as spelled in its references */
	const char *backing;   /* in place of its backing file, or NULL */
	const char *data_file; /* in place of its data file, or NULL */
	/* of the image and of what was followed since, see gate_note_owners() */
	uid_t owners[2 * (IMGFMT_MAX_DEPTH + 1)];
	unsigned int owner_count;
};

/*
 * What the image in @fd names is from now on the business of its owner, too. If a user serves the
 * file system that it is on, it is his as well: who owns the image is what he says. And where
 * set-user-ID bits are not believed, nor is that a file is root's. Returns 0 or -errno.
 */
int gate_note_owners(struct gate *gate, int fd, struct imgfmt_error *reterr);

/*
 * Opens regular files and block devices, by the rules above; what the user named himself without
 * them. The result refers to @gate, and is for use while there is one thread only.
 */
struct imgfmt_gate gate_make(struct gate *gate);

/*
 * Open a file that must be a regular file or a block device, without waiting and without waking
 * other devices. @flags are O_RDONLY or O_RDWR. Returns a descriptor or -errno.
 */
int gate_open_file(const char *path, int flags, struct imgfmt_error *reterr);
