/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the image is and where it will be shown: resolving both names while the working directory
 * is still the caller's, and refusing what cannot work before anything is touched.
 */
#pragma once

#include "imgfmt.h"
#include "options.h"

#include <sys/stat.h>

/* Absolute paths without symlinks. */
struct place {
	char *image;
	char *mountpoint; /* NULL after place_find_image() */
	char *source;     /* what mount(8) shows, see place_find(); or NULL */
	bool in_place;    /* the mount point is the image */
};

/* Both functions need place_finish() afterwards, also when they failed. */
#define PLACE_NONE                                                \
	{                                                         \
		.image = NULL, .mountpoint = NULL, .source = NULL \
	}

/*
 * Find the image, and refuse one that is an export itself. On failure the message starts with
 * the name of the file at fault.
 */
int place_find_image(struct place *place, const char *image, struct imgfmt_error *reterr);

/*
 * Find the mount point too, and check that one can mount there. The source of the mount will be the
 * image's path, with imgfuse: before it in place, or as much of that as there is room for.
 */
int place_find(struct place *place, const struct options *options, struct imgfmt_error *reterr);

/*
 * Hold the mount point: what is mounted on the descriptor lies over the file that was looked at,
 * whatever becomes of its name. @image is what was opened as the image: in place it must be the
 * same file, -ESTALE. Returns a descriptor that is good for no I/O, or -errno.
 */
int place_hold(const struct place *place, const struct stat *image, struct imgfmt_error *reterr);

/*
 * Another imgfuse may have been started at the same moment. Claim the mount point that @held is of,
 * just before mounting, and look once more for an export there: -EEXIST. Sets *ret_fd to a
 * descriptor that holds the claim until it is closed, which should be as soon as the export is
 * usable; or to -1 where there can be none, as on a read-only file system.
 */
int place_claim(const struct place *place, int held, int *ret_fd, struct imgfmt_error *reterr);

/* The image that an export at @target shows, or NULL where its source was too long to tell. */
const char *place_image_of(const char *source, const char *target);

void place_finish(struct place *place);
