/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling whom it concerns that the export is usable.
 */
#pragma once

#include "options.h"
#include "pidfile.h"

struct announcement {
	const struct options *options;
	struct pidfile *pidfile;
	int background_fd; /* for background_ready(), or -1 */
};

/*
 * Write the pid file, and tell the caller, by a line with @description, or by letting his command
 * return. Returns 0, or -errno after it was logged: then the export is of no use.
 */
int announce(struct announcement *announcement, const char *description);
