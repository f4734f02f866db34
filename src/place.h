/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the image is and where it will be shown: resolving both names while the working directory
 * is still the caller's, and refusing what cannot work before anything is touched.
 */
#pragma once

#include "imgfmt.h"
#include "options.h"

/* Absolute paths without symlinks. */
struct place {
	char *image;
	char *mountpoint; /* NULL after place_find_image() */
	char *source;     /* what mount(8) shows: the image, or imgfuse:IMAGE in place; or NULL */
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

/* Find the mount point too, and check that one can mount there. */
int place_find(struct place *place, const struct options *options, struct imgfmt_error *reterr);

/*
 * Another imgfuse may have been started at the same moment. Look once more for an export at the
 * mount point, just before mounting: -EEXIST. It may still come in between, so after mounting see
 * whether the mount lies over another export, which then is in the right: -EEXIST.
 */
int place_check_again(const struct place *place, struct imgfmt_error *reterr);
int place_check_mounted(const struct place *place, struct imgfmt_error *reterr);

void place_finish(struct place *place);
