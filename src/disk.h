/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image that the command line names, opened.
 */
#pragma once

#include "imgfmt.h"
#include "options.h"
#include "place.h"

#include <sys/stat.h>

struct disk {
	struct imgfmt_image *image;
	struct stat stat; /* of the image file, from before anything is mounted over it */
	int host_fd;      /* another descriptor of the image file */
};

/*
 * Open the image at @place, for reading only if @read_only, or with a warning if it may not be
 * written. Logs what is wrong and returns -errno on failure.
 */
int disk_open(struct disk *disk, const struct options *options, const struct place *place,
	      bool read_only);
