/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file that holds our process id while the export is usable.
 *
 * It is locked while it is ours. One that nobody has locked was left behind by a process that
 * died, and is taken over; a file that holds something else than a number is never touched.
 */
#pragma once

#include "imgfmt.h"

#include <stdbool.h>
#include <sys/types.h>

struct pidfile {
	char *path; /* absolute; NULL: there is none */
	int fd;     /* open and locked while the file is ours, otherwise -1 */
};

#define PIDFILE_NONE                   \
	{                              \
		.path = NULL, .fd = -1 \
	}

/* Remember an absolute form of @path, and find out early what would be wrong with it. */
int pidfile_init(struct pidfile *pidfile, const char *path, struct imgfmt_error *reterr);

/* Is it the file at @path, under whatever name? */
bool pidfile_is(const struct pidfile *pidfile, const char *path);

/* Write our process id. Does nothing where there is no path. */
int pidfile_write(struct pidfile *pidfile, struct imgfmt_error *reterr);

/*
 * Make the file that @dead, a process that was killed, has left ours: it holds our process id, and
 * is removed in the end. Waits for the lock a second at most, and does without it then.
 */
void pidfile_take_over(struct pidfile *pidfile, pid_t dead);

/* Remove the file if it is still ours, and free what @pidfile holds. */
void pidfile_finish(struct pidfile *pidfile);
