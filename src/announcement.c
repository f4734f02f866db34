/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every way to say that the export is usable; see announcement.h. */
#include "announcement.h"

#include "background.h"
#include "cleanup.h"
#include "log.h"
#include "notify.h"
#include "outward.h"
#include "printable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *make_line(const struct options *options, const char *description)
{
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return NULL;
	print_printable(out, options->image);
	fputs(": exported as raw at ", out);
	print_printable(out, options->mountpoint);
	fprintf(out, " (%s), ^C to revert\n", description);
	if (fclose(out) == 0)
		return line;
	free(line);
	return NULL;
}

/* The caller's command returns, or says that all is well. */
static int tell_caller(struct announcement *announcement, const char *description)
{
	const struct options *options = announcement->options;
	_cleanup_free_ char *line = NULL;
	int r;

	if (announcement->background_fd >= 0) {
		r = background_ready(announcement->background_fd);
		announcement->background_fd = -1;
		if (r < 0)
			log_error("%s: the caller has gone; reverting", options->image);
		return r;
	}
	line = make_line(options, description);
	r = line ? outward_write(STDOUT_FILENO, line, strlen(line), NULL) : -ENOMEM;
	if (r < 0)
		log_warning("%s: exported, but nobody could be told on the standard output: %s",
			    options->image, strerror(-r));
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
		r = outward_write(options->ready_fd, "\n", 1, NULL);
		if (r < 0)
			log_warning("--ready-fd=%d: %s", options->ready_fd, strerror(-r));
		close(options->ready_fd);
	}
	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d\n", (int)getpid());
	notify(state);
	return 0;
}
