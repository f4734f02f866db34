/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a path to an image: the one place where the image itself is opened.
 */
#include "disk.h"

#include "cleanup.h"
#include "gate.h"
#include "log.h"
#include "mountinfo.h"
#include "passphrase.h"

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

static int open_file(const struct options *options, bool *read_only, struct imgfmt_error *reterr)
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
		imgfmt_error_set(reterr, fd, "%s: %s", options->image, why.text);
	return fd;
}

/* Is any image of the chain encrypted? */
static bool needs_passphrase(struct imgfmt_image *image)
{
	for (; image; image = imgfmt_backing(image)) {
		struct imgfmt_info info;

		imgfmt_get_info(image, &info);
		if (info.encryption)
			return true;
	}
	return false;
}

/* A file that was put in the place of another must have been used. Closes the image if not. */
static int check_replacements(struct imgfmt_image *image, const struct options *options,
			      struct imgfmt_error *reterr)
{
	const char *unused = NULL;
	struct imgfmt_info info;

	imgfmt_get_info(image, &info);
	if (options->backing && !imgfmt_backing(image))
		unused = "--backing: it has no backing file";
	else if (options->data_file && !info.has_data_file)
		unused = "--data-file: it has no data file";
	else if (options->passphrase_file && !needs_passphrase(image))
		unused = "--passphrase-file: it is not encrypted";
	if (!unused)
		return 0;
	imgfmt_error_set(reterr, -EINVAL, "%s: %s", options->image, unused);
	imgfmt_close(image);
	return -EINVAL;
}

/* Open the image behind @fd, which is gone afterwards. */
static int open_image(struct disk *disk, const struct options *options, const char *passphrase,
		      int fd, bool read_only, struct imgfmt_error *reterr)
{
	struct gate gate = {
		.references = options->references,
		.image = options->image,
		.backing = options->backing,
		.data_file = options->data_file,
	};
	const struct imgfmt_gate opener = gate_make(&gate);
	const struct imgfmt_open_options open_options = {
		.path = options->image,
		.format = options->format,
		.snapshot = options->snapshot,
		.replace_backing = options->backing != NULL,
		.backing_format = options->backing_format,
		.passphrase = passphrase,
		.read_only = read_only,
		.describe_only = options->action == ACTION_INFO,
		.keep_space = !options->discard,
		.cache_size = options->cache_size,
		.gate = &opener,
		.warn = warn,
	};
	int r;

	r = gate_note_owners(&gate, fd, reterr);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = imgfmt_open(fd, &open_options, &disk->image, reterr);
	return r < 0 ? r : check_replacements(disk->image, options, reterr);
}

static int open_disk(struct disk *disk, const struct options *options, const char *passphrase,
		     bool read_only, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1, host_fd = -1;
	int r;

	fd = open_file(options, &read_only, reterr);
	if (fd < 0)
		return fd;
	host_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (host_fd < 0 || fstat(fd, &disk->stat) < 0) {
		r = -errno;
		return imgfmt_error_set(reterr, r, "%s: %s", options->image, strerror(-r));
	}
	/* Another imgfuse may have mounted over it since its path was looked at. */
	if (mountinfo_is_export(disk->stat.st_dev))
		return imgfmt_error_set(reterr, -EEXIST, "%s: has just become an export of imgfuse",
					options->image);
	r = open_image(disk, options, passphrase, steal_fd(&fd), read_only, reterr);
	if (r == 0)
		disk->host_fd = steal_fd(&host_fd);
	return r;
}

/* Somebody has the image locked: where that is an export that can be seen, say which. */
static void name_export(const char *image, struct imgfmt_error *error)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	_cleanup_free_ char *path = NULL;
	struct imgfmt_error why = *error;

	if (resolve_path(image, &path) == 0 && mountinfo_find_export(path, &entry) == 0)
		imgfmt_error_set(error, -EBUSY,
				 "%.300s; it is exported at %s, which this ends: imgfuse -u %s",
				 why.text, entry.target, entry.target);
}

/* Open it for writing if that can be, as mount(8) treats what can only be read. */
static int open_as_can_be(struct disk *disk, const struct options *options, const char *passphrase,
			  bool read_only, struct imgfmt_error *reterr)
{
	struct imgfmt_error why;
	int r;

	r = open_disk(disk, options, passphrase, read_only, reterr);
	if (r != -EROFS || read_only)
		return r;
	why = *reterr;
	r = open_disk(disk, options, passphrase, true, reterr);
	if (r == 0)
		log_warning("%s; exporting it read-only", why.text);
	return r;
}

int disk_open(struct disk *disk, const struct options *options, bool read_only)
{
	struct imgfmt_error why = { "" };
	struct passphrase passphrase;
	const char *text = NULL;
	int r = 0;

	if (options->passphrase_file) {
		r = passphrase_read(&passphrase, options->passphrase_file, &why);
		text = passphrase.text;
	}
	if (r == 0)
		r = open_as_can_be(disk, options, text, read_only, &why);
	passphrase_wipe(&passphrase);
	if (r == -EBUSY)
		name_export(options->image, &why);
	if (r < 0)
		log_error("%s", why.text);
	return r;
}
