/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imgfuse: the story. Options, image, mount, serve, unmount, close; or one of the other verbs.
 *
 * The image, and all that it refers to, is open and locked before the mount, which may lie over
 * it: from then on the image's path leads to ourselves and is used no more.
 */
#include "background.h"
#include "cleanup.h"
#include "disk.h"
#include "export.h"
#include "imgfmt.h"
#include "info.h"
#include "log.h"
#include "options.h"
#include "pidfile.h"
#include "place.h"
#include "serve.h"
#include "session.h"
#include "unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* What is left to do when the export is usable. */
struct announcement {
	const struct options *options;
	const struct export_inode *inode;
	struct pidfile *pidfile;
	int background_fd; /* or -1 */
};

static int announce(void *userdata)
{
	const struct announcement *announcement = userdata;
	const struct options *options = announcement->options;
	struct imgfmt_image *image = announcement->inode->image;
	struct imgfmt_error why;
	struct imgfmt_info info;
	int r;

	r = pidfile_write(announcement->pidfile, &why);
	if (r < 0) {
		log_error("%s: %s", options->pidfile, why.text);
		return r;
	}
	if (announcement->background_fd >= 0) {
		r = background_ready(announcement->background_fd);
		if (r < 0)
			log_error("%s: the caller has gone; reverting", options->image);
		return r;
	}
	imgfmt_get_info(image, &info);
	printf("%s: exported as raw at %s (%s, %s, %s), ^C to revert\n", options->image,
	       options->mountpoint, info.format, human_size(info.size).text,
	       announcement->inode->read_only ? "read-only" : "read-write");
	fflush(stdout);
	return 0;
}

/* Write everything out, and say so where that fails: the image is not what it should be. */
static int close_image(struct imgfmt_image *image, const struct options *options)
{
	int r = imgfmt_close(image);

	if (r < 0)
		log_error("%s: the image is not complete: writing the last of it failed: %s",
			  options->image, strerror(-r));
	return r;
}

/* Mount, serve and unmount. */
static int serve_disk(struct disk *disk, const struct options *options, const struct place *place,
		      struct announcement *announcement)
{
	struct imgfmt_error why;
	struct session session;
	struct export_inode inode;
	bool allow_other;
	int r;

	r = session_choose_allow_other(options->allow_other, &allow_other, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return r;
	}
	/* a name from the command line says little in the system's log */
	export_init(&inode, disk->image, options->daemonize ? place->image : options->image,
		    options, &disk->stat, disk->host_fd);
	announcement->inode = &inode;
	log_verbose("%s: cache %s, %s, space freed is %s, other users %s", options->image,
		    cache_mode_name(inode.cache), inode.read_only ? "read-only" : "read-write",
		    options->discard ? "given back" : "kept",
		    allow_other ? "let in" : "not let in");
	r = session_mount(&session, &inode, place->mountpoint, place->source, allow_other, &why);
	if (r < 0)
		log_error("%s: %s", options->mountpoint, why.text);
	else
		r = serve(&session, announce, announcement);
	export_finish(&inode);
	return r;
}

static int run_export(const struct options *options, struct place *place, struct pidfile *pidfile)
{
	struct announcement announcement = {
		.options = options,
		.pidfile = pidfile,
		.background_fd = -1,
	};
	struct imgfmt_error why;
	struct imgfmt_info info;
	struct disk disk;
	int r, closed;

	r = place_find(place, options, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return r;
	}
	if (options->pidfile) {
		r = pidfile_init(pidfile, options->pidfile, &why);
		if (r < 0) {
			log_error("%s: %s", options->pidfile, why.text);
			return r;
		}
	}
	serve_block_signals();
	if (options->daemonize) {
		announcement.background_fd = background_fork();
		if (announcement.background_fd < 0) {
			log_error("cannot go to the background: %s",
				  strerror(-announcement.background_fd));
			return announcement.background_fd;
		}
	}
	/* memory that we ask for must not wait for our own dirty pages; where that is permitted */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	r = disk_open(&disk, options, options->read_only);
	if (r < 0)
		return r;
	imgfmt_get_info(disk.image, &info);
	log_verbose("%s: format %s (%s), locked as QEMU does", options->image, info.format,
		    info.detected ? "detected" : "as stated");
	r = serve_disk(&disk, options, place, &announcement);
	closed = close_image(disk.image, options);
	return r < 0 ? r : closed;
}

static int export_verb(const struct options *options)
{
	struct pidfile pidfile = PIDFILE_NONE;
	struct place place = PLACE_NONE;
	int r;

	r = run_export(options, &place, &pidfile);
	pidfile_finish(&pidfile);
	place_finish(&place);
	return r < 0 ? 1 : 0;
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
	int r = unmount_export(options->unmount, &why);

	if (r < 0)
		log_error("%s: %s", options->unmount, why.text);
	return r < 0 ? 1 : 0;
}

static int help_verb(void)
{
	const char *name;

	fputs(options_usage, stdout);
	fputs("\nFormats:\n", stdout);
	for (unsigned int i = 0; (name = imgfmt_format_name(i)); i++)
		printf("  %-22s  %s\n", name, imgfmt_format_description(i));
	fputs("\nEnd an export with ^C, imgfuse -u, umount or fusermount3 -u; see imgfuse(1).\n",
	      stdout);
	return 0;
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
		return info_verb(&options);
	case ACTION_UNMOUNT:
		return unmount_verb(&options);
	case ACTION_HELP:
		return help_verb();
	case ACTION_VERSION:
		printf("imgfuse %s\n", IMGFUSE_VERSION);
		return 0;
	}
	return 1;
}
