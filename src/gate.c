/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate: plain names only, regular files and block devices only, and for root only what the
 * owners of the images that lead there could open themselves: else a stranger's image shows him
 * root's files.
 */
#include "gate.h"

#include "array.h"
#include "become.h"
#include "cleanup.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

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

/* These the headers do not have. */
#define FUSECTL_MAGIC    0x65735543
#define CONFIGFS_MAGIC   0x62656570
#define NFSD_MAGIC       0x6e667364
#define RPC_PIPE_MAGIC   0x67596969
#define MQUEUE_MAGIC     0x19800202
#define PIDFS_MAGIC      0x50494446
#define FUNCTIONFS_MAGIC 0x0a647361

/*
 * What looks like a regular file may be a knob of the kernel, or the memory of a process. Nobody
 * keeps a disk there.
 */
static int check_file_system(int fd, struct imgfmt_error *reterr)
{
	static const unsigned long of_the_kernel[] = {
		PROC_SUPER_MAGIC,     SYSFS_MAGIC,        DEBUGFS_MAGIC,       TRACEFS_MAGIC,
		SECURITYFS_MAGIC,     CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,
		PSTOREFS_MAGIC,       EFIVARFS_MAGIC,     BINFMTFS_MAGIC,      NSFS_MAGIC,
		SELINUX_MAGIC,        SMACK_MAGIC,        AAFS_MAGIC,          XENFS_SUPER_MAGIC,
		RDTGROUP_SUPER_MAGIC, FUSECTL_MAGIC,      CONFIGFS_MAGIC,      NFSD_MAGIC,
		RPC_PIPE_MAGIC,       MQUEUE_MAGIC,       PIDFS_MAGIC,         FUNCTIONFS_MAGIC,
	};
	struct statfs stfs;

	if (fstatfs(fd, &stfs) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	for (size_t i = 0; i < ARRAY_LENGTH(of_the_kernel); i++)
		if ((unsigned long)stfs.f_type == of_the_kernel[i])
			return imgfmt_error_set(reterr, -ENOTSUP,
						"is on a file system of the kernel's own, such as "
						"/proc, and holds no disk");
	return 0;
}

/* A descriptor of the file that a name leads to, which opens nothing yet. */
static int find_file(const char *path, uint64_t resolve)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = resolve };
	int fd = resolve ? (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)) :
			   open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * Look first, as opening alone may wait (a FIFO) or do harm (a watchdog), and open what was looked
 * at, whatever its name leads to by then.
 */
static int open_file(const char *path, int flags, uint64_t resolve, struct imgfmt_error *reterr)
{
	_cleanup_close_ int found = find_file(path, resolve);
	char name[64];
	struct stat st;
	int r;

	if (found < 0)
		return imgfmt_error_set(reterr, found, "%s", strerror(-found));
	if (fstat(found, &st) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	r = check_type(&st, reterr);
	if (r == 0)
		r = check_file_system(found, reterr);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "/proc/thread-self/fd/%d", found);
	r = open(name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return r < 0 ? imgfmt_error_set(reterr, -errno, "%s", strerror(errno)) : r;
}

int gate_open_file(const char *path, int flags, struct imgfmt_error *reterr)
{
	return open_file(path, flags, 0, reterr);
}

/* ---- as whom to open ---- */

/* The user whom nobody has given any rights. */
#define NOBODY 65534

/*
 * Open what another user could open: the file system is asked with his rights for the moment, from
 * its root on. Where we are already, and what we have open, he might not get to.
 */
static int open_as(uid_t owner, const char *path, int flags, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *directory = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	_cleanup_free_ char *whole = NULL;
	struct identity_change change;
	int fd, r;

	if (!directory || asprintf(&whole, "%s/%s", directory, path) < 0) {
		whole = NULL;
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	}
	r = identity_become(&change, owner);
	if (r < 0)
		return imgfmt_error_set(
			reterr, r,
			"cannot look with the rights of its owner: %s; --references=all does without",
			strerror(-r));
	fd = open_file(whole, flags, RESOLVE_NO_MAGICLINKS, reterr);
	identity_revert(&change);
	if (fd == -EACCES || fd == -EPERM || fd == -ELOOP) {
		struct imgfmt_error why = *reterr;

		imgfmt_error_set(
			reterr, fd,
			"the owner of the image could not open it himself (%.300s); --references=all allows it",
			why.text);
	}
	return fd;
}

static bool is_same_file(int a, int b)
{
	struct stat st_a, st_b;

	return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

/* All who own an image that leads there must be able to, and to the same file. */
static int open_as_owners(const struct gate *gate, const char *path, int flags,
			  struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;

	for (unsigned int i = 0; i < gate->owner_count; i++) {
		_cleanup_close_ int again = -1;
		int r;

		if (gate->owners[i] == 0)
			continue;
		r = open_as(gate->owners[i], path, flags, reterr);
		if (r < 0)
			return r;
		again = r;
		if (fd >= 0 && !is_same_file(fd, again))
			return imgfmt_error_set(reterr, -ESTALE,
						"was replaced by another file while it was being "
						"opened");
		if (fd < 0)
			fd = steal_fd(&again);
	}
	return fd < 0 ? gate_open_file(path, flags, reterr) : steal_fd(&fd);
}

static int open_reference(const struct gate *gate, const char *path, int flags,
			  struct imgfmt_error *reterr)
{
	if (gate->references == REFERENCES_OWNER && geteuid() == 0)
		return open_as_owners(gate, path, flags, reterr);
	return gate_open_file(path, flags, reterr);
}

static int add_owner(struct gate *gate, uid_t user, struct imgfmt_error *reterr)
{
	for (unsigned int i = 0; i < gate->owner_count; i++)
		if (gate->owners[i] == user)
			return 0;
	if (gate->owner_count == ARRAY_LENGTH(gate->owners))
		return imgfmt_error_set(reterr, -EACCES, "too many images of different owners");
	gate->owners[gate->owner_count++] = user;
	return 0;
}

/* Whose word is what a file system says of its files? Root's, mostly. */
static uid_t file_system_owner(dev_t device)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };

	return mountinfo_find_device(device, &entry) == 0 ? entry.user : 0;
}

/* Somebody else may have made the file system, and brought it along. What is in memory is not. */
static bool is_brought_along(int fd)
{
	struct statvfs stvfs;
	struct statfs stfs;

	return fstatvfs(fd, &stvfs) == 0 && (stvfs.f_flag & ST_NOSUID) && fstatfs(fd, &stfs) == 0 &&
	       stfs.f_type != TMPFS_MAGIC;
}

int gate_note_owners(struct gate *gate, int fd, struct imgfmt_error *reterr)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	r = add_owner(gate, st.st_uid == 0 && is_brought_along(fd) ? NOBODY : st.st_uid, reterr);
	return r < 0 ? r : add_owner(gate, file_system_owner(st.st_dev), reterr);
}

/* ---- the gate ---- */

/* The file that the user has put in the place of a reference, or NULL. */
static const char *replacement(const struct gate *gate, const struct imgfmt_reference *reference)
{
	if (strcmp(reference->referrer, gate->image) != 0)
		return NULL;
	return reference->kind == IMGFMT_BACKING_FILE ? gate->backing : gate->data_file;
}

/* Find and open the file that an image names. */
static int follow(const struct gate *gate, const struct imgfmt_reference *reference, int flags,
		  char **ret_path, struct imgfmt_error *reterr)
{
	const char *kind = kind_name(reference->kind);
	struct imgfmt_error why = { "" };
	int r;

	if (!reference->name)
		return imgfmt_error_set(reterr, -EINVAL,
					"it does not name its %s; --data-file=FILE does", kind);
	if (gate->references == REFERENCES_DENY)
		return imgfmt_error_set(
			reterr, -EACCES,
			"it refers to the %s '%s', and --references=deny allows none", kind,
			reference->name);
	r = gate_resolve(reference, ret_path, reterr);
	if (r < 0)
		return r;
	r = open_reference(gate, *ret_path, flags, &why);
	if (r < 0)
		imgfmt_error_set(reterr, r, "its %s %s: %s", kind, *ret_path, why.text);
	return r;
}

/* What was given in the place of a reference cannot be opened: perhaps it is a slip of the pen. */
static void explain(struct imgfmt_error *reterr, int r, const char *name, const char *why)
{
	size_t length = strcspn(name, ":/");

	if (r == -ENOENT && name[length] == ':')
		imgfmt_error_set(reterr, r, "%s: %s (and '%.*s' is no format that --help lists)",
				 name, why, (int)length, name);
	else
		imgfmt_error_set(reterr, r, "%s: %s", name, why);
}

static int gate_open(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
		     char **ret_path, struct imgfmt_error *reterr)
{
	struct gate *gate = userdata;
	const char *instead = replacement(gate, reference);
	int flags = reference->writable ? O_RDWR : O_RDONLY;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct imgfmt_error why = { "" };
	int r;

	if (instead) {
		path = strdup(instead);
		r = path ? gate_open_file(path, flags, &why) : -ENOMEM;
		if (r < 0)
			explain(reterr, r, instead, why.text);
	} else {
		r = follow(gate, reference, flags, &path, reterr);
	}
	if (r < 0)
		return r;
	fd = r;
	if (reference->kind == IMGFMT_BACKING_FILE) {
		r = gate_note_owners(gate, fd, &why);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "%s: %s", path, why.text);
	}
	*ret_fd = steal_fd(&fd);
	*ret_path = steal_ptr(path);
	return 0;
}

struct imgfmt_gate gate_make(struct gate *gate)
{
	return (struct imgfmt_gate){ .open = gate_open, .userdata = gate };
}
