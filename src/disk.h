/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image that the command line names, opened.
 */
#pragma once

#include "imgfmt.h"
#include "options.h"

#include <sys/stat.h>

struct disk {
	struct imgfmt_image *image;
	struct stat stat; /* of the image file, from before anything is mounted over it */
	int host_fd;      /* another descriptor of the image file */
};

/*
 * Open the image that @options name, for reading only if @read_only, or with a warning if it
 * cannot be written. The working directory must still be the caller's. Logs what is wrong and
 * returns -errno on failure.
 */
int disk_open(struct disk *disk, const struct options *options, bool read_only);
