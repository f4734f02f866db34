/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imgfuse: the verbs. An export is run by supervisor.c, in processes of which one is this.
 */
#include "background.h"
#include "caller.h"
#include "cleanup.h"
#include "disk.h"
#include "imgfmt.h"
#include "info.h"
#include "log.h"
#include "options.h"
#include "pidfile.h"
#include "place.h"
#include "revert.h"
#include "signals.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * What was asked for is what has been printed: without it, there is no success. @status is the
 * exit status if all of it arrives.
 */
static int finish_output(int status)
{
	int r = fflush(stdout) == 0 ? 0 : -errno;

	if (r == 0 && !ferror(stdout))
		return status;
	/* what failed before is not known any more */
	log_error("cannot write to standard output: %s", r < 0 ? strerror(-r) : "it is incomplete");
	return 1;
}

/* Returns the exit status, also in the processes that are forked on the way. */
static int run_export(const struct options *options, struct place *place, struct pidfile *pidfile)
{
	struct imgfmt_error why;
	int background_fd = -1, r;
	sigset_t signals;

	if (caller_check(options) < 0)
		return 1;
	r = place_find(place, options, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return 1;
	}
	if (options->pidfile) {
		r = pidfile_init(pidfile, options->pidfile, &why);
		if (r < 0) {
			log_error("%s: %s", options->pidfile, why.text);
			return 1;
		}
		if (pidfile_is(pidfile, place->image) || pidfile_is(pidfile, place->mountpoint)) {
			log_error("%s: is the image or the MOUNTPOINT, and so not a pid file",
				  options->pidfile);
			return 1;
		}
	}
	signals_take(&signals);
	if (options->daemonize) {
		background_fd = background_fork(&signals);
		if (background_fd < 0) {
			log_error("cannot go to the background: %s", strerror(-background_fd));
			return 1;
		}
	}
	return supervise(options, place, pidfile, &signals, background_fd);
}

static int export_verb(const struct options *options)
{
	struct pidfile pidfile = PIDFILE_NONE;
	struct place place = PLACE_NONE;
	int status;

	status = run_export(options, &place, &pidfile);
	pidfile_finish(&pidfile);
	place_finish(&place);
	return status;
}

static int info_verb(const struct options *options)
{
	struct place place = PLACE_NONE;
	struct imgfmt_error why;
	struct disk disk;
	int r;

	r = place_find_image(&place, options->image, &why);
	if (r < 0)
		log_error("%s", why.text);
	else
		r = disk_open(&disk, options, true);
	if (r == 0) {
		if (options->json)
			info_print_json(stdout, disk.image, options->image);
		else
			info_print(stdout, disk.image, options->image);
		close(disk.host_fd);
		imgfmt_close(disk.image);
	}
	place_finish(&place);
	return r < 0 ? 1 : 0;
}

static int unmount_verb(const struct options *options)
{
	struct imgfmt_error why;
	int r;

	/* that nobody hears of it is no reason to stop in the middle */
	signal(SIGPIPE, SIG_IGN);
	r = revert_export(options->unmount, options->lazy, &why);
	if (r < 0)
		log_error("%s: %s", options->unmount, why.text);
	return r < 0 ? 1 : 0;
}

static void help_verb(void)
{
	const char *name;

	fputs(options_usage, stdout);
	fputs("\nFormats:\n", stdout);
	for (unsigned int i = 0; (name = imgfmt_format_name(i)); i++)
		printf("  %-22s  %s\n", name, imgfmt_format_description(i));
	fputs("\nEnd an export with ^C, imgfuse -u, umount or fusermount3 -u; see imgfuse(1).\n",
	      stdout);
}

/* A file opened as descriptor 2 would get our messages written into it. */
static bool open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	return fd >= 0 && close(fd) == 0;
}

int main(int argc, char **argv)
{
	struct options_error why;
	struct options options;

	/* a limit on the size of files is an error of a write; children are waited for */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (!open_standard_descriptors())
		return 1;
	if (options_parse(argc, argv, &options, &why) < 0) {
		log_error("%s (see imgfuse --help)", why.text);
		return 2;
	}
	log_set_verbose(options.verbose);
	switch (options.action) {
	case ACTION_EXPORT:
		return export_verb(&options);
	case ACTION_INFO:
		return finish_output(info_verb(&options));
	case ACTION_UNMOUNT:
		return unmount_verb(&options);
	case ACTION_HELP:
		help_verb();
		return finish_output(0);
	case ACTION_VERSION:
		printf("imgfuse %s\n", IMGFUSE_VERSION);
		return finish_output(0);
	}
	return 1;
}
