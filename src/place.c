/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names to absolute paths, and the checks that go with them. Exports are recognised by the
 * kernel's table of mounts, which also knows those that are dead or let us not in.
 */
#include "place.h"

#include "cleanup.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/*
 * What the source of an export in place begins with. mkfs and others refuse a file that is the
 * source of a mount, and by that every such export, if it were just the image's path: that leads to
 * the export.
 */
#define IN_PLACE "imgfuse:"

/* The kernel takes no longer one from fsconfig(2). What is cut off is missed where it is shown. */
#define SOURCE_MAX 255

/* The mount point may be the image, which has other locks as well. */
#define CLAIM_BYTE IMGFMT_LOCKS_END

const char *place_image_of(const char *source, const char *target)
{
	if (strncmp(source, IN_PLACE, strlen(IN_PLACE)) == 0)
		return target;
	return strlen(source) < SOURCE_MAX ? source : NULL;
}

void place_finish(struct place *place)
{
	free(place->image);
	free(place->mountpoint);
	free(place->source);
	*place = (struct place)PLACE_NONE;
}

/*
 * Look at the file at @path, called @name. What is mounted there may be dead: say so and how to
 * get rid of it. Sets *ret_ours to whether it is one of our exports.
 */
static int look(const char *path, const char *name, struct stat *ret_st, bool *ret_ours,
		struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry at = { 0 };
	bool ours = mountinfo_find_target(path, &at) == 0 && mount_entry_is_ours(&at);

	if (stat(path, ret_st) == 0) {
		/* it may also be bound to another place */
		*ret_ours = ours || mountinfo_is_export(ret_st->st_dev);
		return 0;
	}
	if (errno == ENOTCONN)
		return imgfmt_error_set(
			reterr, -ENOTCONN,
			"%s: a dead mount lies over it, left by a server that died; "
			"remove it with: %s -u %s",
			name, ours ? "imgfuse" : "fusermount3", path);
	if (ours) { /* of a user who lets nobody else in */
		*ret_ours = true;
		return 0;
	}
	return imgfmt_error_set(reterr, -errno, "%s: %s", name, strerror(errno));
}

int place_find_image(struct place *place, const char *image, struct imgfmt_error *reterr)
{
	struct stat st;
	bool ours = false;
	int r;

	r = resolve_path(image, &place->image);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s: %s", image, strerror(-r));
	r = look(place->image, image, &st, &ours, reterr);
	if (r < 0)
		return r;
	if (ours)
		return imgfmt_error_set(reterr, -EEXIST,
					"%s: is an export of imgfuse, the raw disk that an image "
					"holds; the file below is there again after: imgfuse -u %s",
					image, place->image);
	return 0;
}

static int check_mountpoint(const char *path, const char *name, bool is_image,
			    struct imgfmt_error *reterr)
{
	struct stat st = { 0 };
	bool ours = false;
	int r;

	r = look(path, name, &st, &ours, reterr);
	if (r < 0)
		return r;
	if (ours)
		return imgfmt_error_set(
			reterr, -EEXIST,
			"%s: is an export already; end it first with: imgfuse -u %s", name, path);
	if (is_image && S_ISBLK(st.st_mode))
		return imgfmt_error_set(reterr, -EINVAL,
					"%s: is a block device and cannot be shown in place; "
					"give a regular file as MOUNTPOINT",
					name);
	if (S_ISDIR(st.st_mode) && !is_image)
		return imgfmt_error_set(reterr, -EISDIR,
					"%s: is a directory, and a MOUNTPOINT is a file; make one "
					"in it, with 'touch %s/disk.raw' say, and give that",
					name, strcmp(path, "/") == 0 ? "" : path);
	if (!S_ISREG(st.st_mode))
		return imgfmt_error_set(reterr, -EINVAL, "%s: is not a regular file%s", name,
					is_image ? "" : ", and so not a MOUNTPOINT");
	/* fusermount3 would say so too, but not why */
	if (geteuid() != 0 && access(path, W_OK) < 0)
		return imgfmt_error_set(
			reterr, -EACCES,
			"%s: only root may mount over a file without write permission; "
			"give a file of your own as MOUNTPOINT",
			name);
	return 0;
}

static int just_exported(struct imgfmt_error *reterr)
{
	return imgfmt_error_set(reterr, -EEXIST, "has just become an export of another imgfuse");
}

static int check_again(const struct place *place, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };

	if (mountinfo_find_target(place->mountpoint, &entry) == 0 && mount_entry_is_ours(&entry))
		return just_exported(reterr);
	return 0;
}

int place_hold(const struct place *place, const struct stat *image, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;
	struct statx stx;
	dev_t device;
	int r = check_again(place, reterr);

	if (r < 0)
		return r;
	fd = open(place->mountpoint, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	/* it may be an export by now, that nobody serves yet: that is not to be waited for */
	if (fd < 0 ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stx) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	if (mountinfo_is_export(device))
		return just_exported(reterr);
	if (!S_ISREG(stx.stx_mode) ||
	    (place->in_place && (device != image->st_dev || stx.stx_ino != image->st_ino)))
		return imgfmt_error_set(reterr, -ESTALE,
					"was replaced by another file while it was being opened");
	return steal_fd(&fd);
}

/*
 * A lock of a byte that is none of QEMU's, so that it is in nobody's way, also where the file is
 * the image. Who comes later either has opened the same file, below the mount, or sees the mount.
 */
int place_claim(const struct place *place, int held, int *ret_fd, struct imgfmt_error *reterr)
{
	struct flock claim = { .l_type = F_WRLCK, .l_start = CLAIM_BYTE, .l_len = 1 };
	_cleanup_close_ int fd = -1;
	char name[64];
	int r = check_again(place, reterr);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", held);
	fd = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &claim) < 0 && (errno == EAGAIN || errno == EACCES))
		return imgfmt_error_set(reterr, -EEXIST,
					"is just becoming an export of another imgfuse");
	r = check_again(place, reterr);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

int place_find(struct place *place, const struct options *options, struct imgfmt_error *reterr)
{
	const char *name = options->mountpoint;
	int r;

	r = place_find_image(place, options->image, reterr);
	if (r < 0)
		return r;
	/* a name that is looked up twice may lead to two files */
	place->in_place = strcmp(name, options->image) == 0;
	if (place->in_place) {
		place->mountpoint = strdup(place->image);
		r = place->mountpoint ? 0 : -ENOMEM;
	} else {
		r = resolve_path(name, &place->mountpoint);
	}
	if (r == -ENOENT)
		return imgfmt_error_set(
			reterr, r, "%s: does not exist; a MOUNTPOINT is an existing regular file",
			name);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s: %s", name, strerror(-r));
	place->in_place = place->in_place || strcmp(place->mountpoint, place->image) == 0;
	if (asprintf(&place->source, "%s%s", place->in_place ? IN_PLACE : "", place->image) < 0) {
		place->source = NULL;
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	}
	if (strlen(place->source) > SOURCE_MAX)
		place->source[SOURCE_MAX] = '\0';
	return check_mountpoint(place->mountpoint, name, place->in_place, reterr);
}
