/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's calls for making a file system, and for mounting it, one after the other.
 */
#include "attach.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* What becomes of a file system in the making; the first error stays. */
struct making {
	int fd, r;
};

static void set(struct making *making, unsigned int command, const char *key, const char *value)
{
	if (making->r == 0 && fsconfig(making->fd, command, key, value, 0) < 0)
		making->r = -errno;
}

static void set_number(struct making *making, const char *key, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	set(making, FSCONFIG_SET_STRING, key, text);
}

static int make_file_system(int fs_fd, int device_fd, const char *source, unsigned int max_read,
			    bool read_only, bool allow_other)
{
	struct making making = { .fd = fs_fd };

	set(&making, FSCONFIG_SET_STRING, "source", source);
	set(&making, FSCONFIG_SET_STRING, "subtype", "imgfuse");
	set(&making, FSCONFIG_SET_STRING, "rootmode", "100000"); /* a regular file, in octal */
	set_number(&making, "fd", (unsigned int)device_fd);
	set_number(&making, "user_id", getuid());
	set_number(&making, "group_id", getgid());
	set_number(&making, "max_read", max_read);
	set(&making, FSCONFIG_SET_FLAG, "default_permissions", NULL);
	if (allow_other)
		set(&making, FSCONFIG_SET_FLAG, "allow_other", NULL);
	if (read_only)
		set(&making, FSCONFIG_SET_FLAG, "ro", NULL);
	set(&making, FSCONFIG_CMD_CREATE, NULL, NULL);
	return making.r;
}

int attach(struct attachment *ret, int mountpoint_fd, const char *source, unsigned int max_read,
	   bool read_only, bool allow_other, struct imgfmt_error *reterr)
{
	CLEANUP(mount_identity_finish) struct mount_identity identity = { 0 };
	_cleanup_close_ int fs_fd = -1, device_fd = -1, mount_fd = -1;
	unsigned int flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	int r;

	fs_fd = fsopen("fuse", FSOPEN_CLOEXEC);
	if (fs_fd < 0 && (errno == EPERM || errno == ENOSYS))
		return -errno;
	if (fs_fd < 0)
		return imgfmt_error_set(reterr, -errno, "cannot mount here: fuse: %s",
					strerror(errno));
	device_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device_fd < 0)
		return imgfmt_error_set(reterr, -errno, "cannot mount here: /dev/fuse: %s",
					strerror(errno));
	r = make_file_system(fs_fd, device_fd, source, max_read, read_only, allow_other);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot mount here: %s", strerror(-r));
	mount_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, flags | (read_only ? MOUNT_ATTR_RDONLY : 0));
	if (mount_fd < 0)
		return imgfmt_error_set(reterr, -errno, "cannot mount here: %s", strerror(errno));
	r = mount_identity_of(&identity, mount_fd, source);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot mount here: %s", strerror(-r));
	if (move_mount(mount_fd, "", mountpoint_fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return imgfmt_error_set(reterr, -errno, "cannot mount here: %s", strerror(errno));
	ret->device_fd = steal_fd(&device_fd);
	ret->identity = identity;
	identity = (struct mount_identity){ 0 };
	return 0;
}
