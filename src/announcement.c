/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every way to say that the export is usable; see announcement.h. */
#include "announcement.h"

#include "background.h"
#include "log.h"

#include <stdio.h>

int announce(struct announcement *announcement, const char *description)
{
	const struct options *options = announcement->options;
	struct imgfmt_error why;
	int r;

	r = pidfile_write(announcement->pidfile, &why);
	if (r < 0) {
		log_error("%s: %s", options->pidfile, why.text);
		return r;
	}
	if (announcement->background_fd >= 0) {
		r = background_ready(announcement->background_fd);
		announcement->background_fd = -1;
		if (r < 0)
			log_error("%s: the caller has gone; reverting", options->image);
		return r;
	}
	printf("%s: exported as raw at %s (%s), ^C to revert\n", options->image,
	       options->mountpoint, description);
	fflush(stdout);
	return 0;
}
