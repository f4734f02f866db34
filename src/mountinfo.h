/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mounted where, from /proc/self/mountinfo. Asking there touches no mounted file system,
 * so it is safe for dead mounts and for our own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The type that our mounts have. */
#define MOUNT_TYPE "fuse.imgfuse"

struct mount_entry {
	unsigned long id; /* the kernel's, which may be given again */
	dev_t device;
	bool covered; /* by another mount, which its path leads to; find_identity() only */
	uid_t user;   /* who mounted it, and whom it lets in; for FUSE only */
	gid_t group;
	char *target; /* the mount point, absolute */
	char *type;
	char *source;
};

/* Free what an entry holds and empty it. */
void mount_entry_finish(struct mount_entry *entry);

#define _cleanup_mount_entry_ __attribute__((cleanup(mount_entry_finish)))

bool mount_entry_is_ours(const struct mount_entry *entry);

/* Is it a file system that another user serves than the one whom we serve? */
bool mount_entry_is_strangers(const struct mount_entry *entry);

/*
 * Find the uppermost mount at the absolute path @target. Returns 0, -ENOENT where nothing is
 * mounted there, or another negative errno.
 */
int mountinfo_find_target(const char *target, struct mount_entry *ret);

/* The same for the first export of the image at the absolute path @image that is not in place. */
int mountinfo_find_export(const char *image, struct mount_entry *ret);

/* The same for the first mount of the file system with the device number @device. */
int mountinfo_find_device(dev_t device, struct mount_entry *ret);

/* Is that very mount still there, wherever? */
bool mountinfo_is_listed(const struct mount_entry *entry);

/* Is there another export of ours at the path of @entry, which lies over it? */
bool mountinfo_hides_export(const struct mount_entry *entry);

/* Is a file with this st_dev an export of ours, wherever that is mounted or bound to? */
bool mountinfo_is_export(dev_t device);

/*
 * What tells a mount from all others, also from later ones: as soon as a mount is gone the kernel
 * gives its device number, and its place, to the next.
 */
struct mount_identity {
	dev_t device;
	uint64_t unique;  /* the kernel's number that it never gives twice; 0 before Linux 6.8 */
	unsigned long id; /* the kernel's, which may be given again; or 0 */
	char *source;
	int directory_fd; /* of the directory with the mount point, not owned; 0: not known */
};

/*
 * A path that leads to the mount of @entry, which may have that identity: by the directory,
 * whatever has been mounted above that, where a mount is found there, or else its own. Returns it
 * for free(), or NULL.
 */
char *mount_identity_path(const struct mount_identity *identity, const struct mount_entry *entry);

/*
 * Learn the identity of the mount of @entry. Returns 0, -ENOMEM, or -ENOENT where its path does not
 * lead to it any more.
 */
int mount_identity_init(struct mount_identity *identity, const struct mount_entry *entry);

/* The same for the mount that @mount_fd is the root of, with what will be shown as its source. */
int mount_identity_of(struct mount_identity *identity, int mount_fd, const char *source);

void mount_identity_finish(struct mount_identity *identity);

/*
 * Find a mount again, wherever it is by now, though another may lie over it. Returns 0, or -ENOENT
 * where it is gone.
 */
int mountinfo_find_identity(const struct mount_identity *identity, struct mount_entry *ret);

/*
 * Does @name in a directory lead to the mount? A name at which something is mounted cannot be given
 * to anything else, so that stays true. Where the kernel does not tell: yes.
 */
bool mount_identity_is_at(const struct mount_identity *identity, int directory_fd,
			  const char *name);

/*
 * Open the root of the file system with the device number @device, which is mounted at @path, with
 * @flags. What else may be there, perhaps the image, is not opened but -ENOENT. Waits for who
 * serves it. Returns a descriptor or -errno.
 */
int mountinfo_open(const char *path, dev_t device, int flags);

/*
 * Open the root of the uppermost mount at @path, as O_PATH, and find out which that is, without
 * asking who serves it anything. Returns a descriptor or -errno.
 */
int mountinfo_open_uppermost(const char *path, struct mount_entry *ret);

/*
 * Resolve @path to an absolute one without symlinks. Works also where the last component is a
 * dead mount or one that lets us not in. Returns 0 or -errno; the caller frees *ret.
 */
int resolve_path(const char *path, char **ret);
