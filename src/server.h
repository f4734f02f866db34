/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server: the process that opens the image, mounts it, serves it and closes it. It ends when
 * the kernel says that the mount is gone, or when the supervisor says so.
 */
#pragma once

#include "options.h"
#include "place.h"

#include <sys/types.h>

/* What the server has from the supervisor, who has started it. */
struct server_start {
	const struct options *options;
	const struct place *place;
	int channel;      /* to the supervisor */
	int outcome_fd;   /* the supervisor's, see outcome.h; this process can only read it */
	int lastwords_fd; /* what becomes standard error; or -1: it stays */
};

/* Be the server. Returns its exit status. Its messages have gone to the supervisor. */
int server_run(const struct server_start *start);
