/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a path to an image: the one place where the image itself is opened.
 */
#include "disk.h"

#include "cleanup.h"
#include "gate.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void warn(void *userdata, const char *message)
{
	(void)userdata;
	log_warning("%s", message);
}

/* May a file that failed to open for writing with @r still be shown to readers? */
static bool is_write_refusal(int r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS || r == -ETXTBSY;
}

static int open_file(const struct options *options, bool *read_only)
{
	struct imgfmt_error why;
	int fd, r;

	fd = gate_open_file(options->image, *read_only ? O_RDONLY : O_RDWR, &why);
	if (!*read_only && is_write_refusal(fd)) {
		r = fd;
		fd = gate_open_file(options->image, O_RDONLY, &why);
		if (fd >= 0) {
			log_warning("%s: cannot be written (%s); exporting it read-only",
				    options->image, strerror(-r));
			*read_only = true;
		}
	}
	if (fd < 0)
		log_error("%s: %s", options->image, why.text);
	return fd;
}

/* Open the image behind @fd, which is gone afterwards. */
static int open_image(struct disk *disk, const struct options *options, int fd, bool read_only,
		      struct imgfmt_error *reterr)
{
	const struct imgfmt_open_options open_options = {
		.path = options->image,
		.format = options->format,
		.read_only = read_only,
		.keep_space = !options->discard,
		.gate = &gate,
		.warn = warn,
	};

	return imgfmt_open(fd, &open_options, &disk->image, reterr);
}

int disk_open(struct disk *disk, const struct options *options, bool read_only)
{
	_cleanup_close_ int fd = -1, host_fd = -1;
	struct imgfmt_error why = { "" };
	int r;

	fd = open_file(options, &read_only);
	if (fd < 0)
		return fd;
	host_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (host_fd < 0 || fstat(fd, &disk->stat) < 0) {
		r = -errno;
		log_error("%s: %s", options->image, strerror(errno));
		return r;
	}
	r = open_image(disk, options, steal_fd(&fd), read_only, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return r;
	}
	disk->host_fd = steal_fd(&host_fd);
	return 0;
}
