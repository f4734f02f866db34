/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate: plain names only, regular files and block devices only.
 */
#include "gate.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *kind_name(enum imgfmt_reference_kind kind)
{
	return kind == IMGFMT_BACKING_FILE ? "backing file" : "data file";
}

/* A colon before the first slash is what QEMU takes for a protocol's name. */
static bool has_protocol(const char *name)
{
	return name[strcspn(name, ":/")] == ':';
}

int gate_resolve(const struct imgfmt_reference *reference, char **ret, struct imgfmt_error *reterr)
{
	const char *name = reference->name, *slash;
	int length = 0;
	char *path;

	if (!*name)
		return imgfmt_error_set(reterr, -EACCES, "the name of its %s is empty",
					kind_name(reference->kind));
	if (strncmp(name, "file:", 5) == 0) {
		name += 5;
	} else if (has_protocol(name)) {
		return imgfmt_error_set(
			reterr, -EACCES,
			"its %s '%.200s' is not a plain file name, and only those are followed",
			kind_name(reference->kind), name);
	} else if (*name != '/') {
		slash = strrchr(reference->referrer, '/');
		length = slash ? (int)(slash + 1 - reference->referrer) : 0;
	}
	if (asprintf(&path, "%.*s%s", length, reference->referrer, name) < 0)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	*ret = path;
	return 0;
}

static int check_type(const struct stat *st, struct imgfmt_error *reterr)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	if (S_ISDIR(st->st_mode))
		return imgfmt_error_set(reterr, -EISDIR, "is a directory");
	return imgfmt_error_set(reterr, -EACCES, "is neither a regular file nor a block device");
}

int gate_open_file(const char *path, int flags, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	/* look before opening: opening alone may wait (a FIFO) or do harm (a watchdog) */
	if (stat(path, &st) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	r = check_type(&st, reterr);
	if (r < 0)
		return r;
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	/* it may be another file by now */
	if (fstat(fd, &st) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	r = check_type(&st, reterr);
	if (r < 0)
		return r;
	return steal_fd(&fd);
}

static int gate_open(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
		     char **ret_path, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *path = NULL;
	struct imgfmt_error why;
	int r;

	(void)userdata;
	r = gate_resolve(reference, &path, reterr);
	if (r < 0)
		return r;
	r = gate_open_file(path, reference->writable ? O_RDWR : O_RDONLY, &why);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "its %s '%.200s': %.100s",
					kind_name(reference->kind), path, why.text);
	*ret_fd = r;
	*ret_path = steal_ptr(path);
	return 0;
}

const struct imgfmt_gate gate = {
	.open = gate_open,
};
