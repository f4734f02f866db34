/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every way to say that the export is usable; see announcement.h. */
#include "announcement.h"

#include "background.h"
#include "log.h"
#include "notify.h"
#include "printable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The caller's command returns, or says that all is well. */
static int tell_caller(struct announcement *announcement, const char *description)
{
	const struct options *options = announcement->options;
	int r;

	if (announcement->background_fd >= 0) {
		r = background_ready(announcement->background_fd);
		announcement->background_fd = -1;
		if (r < 0)
			log_error("%s: the caller has gone; reverting", options->image);
		return r;
	}
	print_printable(stdout, options->image);
	fputs(": exported as raw at ", stdout);
	print_printable(stdout, options->mountpoint);
	printf(" (%s), ^C to revert\n", description);
	fflush(stdout);
	return 0;
}

int announce(struct announcement *announcement, const char *description)
{
	const struct options *options = announcement->options;
	struct imgfmt_error why;
	char state[64];
	int r;

	r = pidfile_write(announcement->pidfile, &why);
	if (r < 0) {
		log_error("%s: %s", options->pidfile, why.text);
		return r;
	}
	r = tell_caller(announcement, description);
	if (r < 0)
		return r;
	if (options->ready_fd) {
		if (write(options->ready_fd, "\n", 1) != 1)
			log_warning("--ready-fd=%d: %s", options->ready_fd, strerror(errno));
		close(options->ready_fd);
	}
	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d\n", (int)getpid());
	notify(state);
	return 0;
}
