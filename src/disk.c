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
	const struct options *options = userdata;

	log_warning("%s: %s", options->image, message);
}

/* May a file that failed to open for writing with @r still be shown to readers? */
static bool is_write_refusal(int r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS || r == -ETXTBSY;
}

static int open_file(const struct options *options, const struct place *place, bool *read_only)
{
	struct imgfmt_error why;
	int fd, r;

	fd = gate_open_file(place->image, *read_only ? O_RDONLY : O_RDWR, &why);
	if (!*read_only && is_write_refusal(fd)) {
		r = fd;
		fd = gate_open_file(place->image, O_RDONLY, &why);
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

int disk_open(struct disk *disk, const struct options *options, const struct place *place,
	      bool read_only)
{
	_cleanup_close_ int fd = -1, host_fd = -1;
	struct imgfmt_error why = { "" };
	struct stat st;
	int r;

	fd = open_file(options, place, &read_only);
	if (fd < 0)
		return fd;
	host_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (host_fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		log_error("%s: %s", options->image, strerror(errno));
		return r;
	}
	r = imgfmt_open(steal_fd(&fd),
			&(struct imgfmt_open_options){
				.path = place->image,
				.format = options->format,
				.read_only = read_only,
				.keep_space = !options->discard,
				.gate = &gate,
				.warn = warn,
				/* it comes back to warn(), which changes nothing */
				.userdata = (void *)(uintptr_t)options,
			},
			&disk->image, &why);
	if (r < 0) {
		log_error("%s: %s", options->image, why.text);
		return r;
	}
	disk->stat = st;
	disk->host_fd = steal_fd(&host_fd);
	return 0;
}
