/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * umount2(2) and fusermount3(1).
 */
#include "unmount.h"

#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Start fusermount3 with its complaints going to @complaints, in plain English. */
static int spawn_fusermount(const char *path, bool lazy, int complaints, pid_t *ret)
{
	char program[] = "fusermount3", plain_flags[] = "-u", lazy_flags[] = "-uz";
	_cleanup_free_ char *copy = strdup(path);
	char *arguments[] = { program, lazy ? lazy_flags : plain_flags, copy, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int r;

	if (!copy)
		return -ENOMEM;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	/* we block signals, it must not; and ^C is for us, not for it */
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	r = posix_spawnp(ret, program, &actions, &attributes, arguments, environ);
	/* libfuse has mounted by the one that it was installed with, whatever PATH says */
	if (r != 0)
		r = posix_spawn(ret, FUSERMOUNT, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int unmount_by_helper(const char *path, bool lazy, struct imgfmt_error *reterr)
{
	_cleanup_close_ int complaints = memfd_create("complaints", MFD_CLOEXEC);
	char text[400] = "";
	int status, r;
	pid_t pid;

	if (complaints < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	r = spawn_fusermount(path, lazy, complaints, &pid);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot run fusermount3: %s", strerror(-r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (pread(complaints, text, sizeof(text) - 1, 0) <= 0)
		snprintf(text, sizeof(text), "fusermount3 failed");
	text[strcspn(text, "\n")] = '\0';
	if (strstr(text, strerror(EBUSY))) /* neither of us speaks another language */
		return imgfmt_error_set(reterr, -EBUSY, "is in use");
	return imgfmt_error_set(reterr, -EPERM, "%s", text);
}

/* How often another mount may have come in between. */
#define ATTEMPTS 64

static int covered(struct imgfmt_error *reterr)
{
	return imgfmt_error_set(reterr, -EEXIST, "another mount lies over it");
}

/*
 * Unmount @entry, which must be that mount. Between looking and unmounting somebody may exchange a
 * directory of his above it: so both go by a descriptor of the last one.
 */
static int unmount_target(const struct mount_identity *identity, const struct mount_entry *entry,
			  bool lazy, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *directory = mount_identity_path(identity, entry), *path = NULL;
	char *slash = directory ? strrchr(directory, '/') : NULL;
	_cleanup_close_ int fd = -1;

	if (!slash)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	*slash = '\0';
	fd = open(slash == directory ? "/" : directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
	if (!mount_identity_is_at(identity, fd, slash + 1))
		return covered(reterr);
	if (asprintf(&path, "/proc/thread-self/fd/%d/%s", fd, slash + 1) < 0) {
		path = NULL;
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	}
	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EPERM)
		return unmount_by_helper(entry->target, lazy, reterr);
	if (errno == EBUSY)
		return imgfmt_error_set(reterr, -EBUSY, "is in use");
	return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
}

int unmount_cover(const char *path, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry cover = { 0 };
	_cleanup_close_ int fd = mountinfo_open_uppermost(path, &cover);
	char link[64];
	int r;

	if (fd < 0)
		return imgfmt_error_set(reterr, fd, "%s", strerror(-fd));
	if (!mount_entry_is_strangers(&cover))
		return covered(reterr);
	/* by a descriptor, which leads to nothing that has been below it, whatever becomes of it */
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	r = umount2(link, MNT_DETACH) < 0 ? -errno : 0;
	if (mountinfo_is_listed(&cover))
		return imgfmt_error_set(reterr, r < 0 ? r : -EEXIST,
					"cannot remove what lies over it");
	log_warning("%s: removed a mount of the user with the id %u that lay over the export",
		    cover.target, (unsigned int)cover.user);
	return 0;
}

/* Take away what lies over a mount, if we are root. */
static void clear_way(const struct mount_identity *identity, const struct mount_entry *entry)
{
	_cleanup_free_ char *path = mount_identity_path(identity, entry);
	struct imgfmt_error why;

	if (path && geteuid() == 0)
		unmount_cover(path, &why);
}

/* Try once. Returns as unmount_identity(), or 1 where something else was unmounted. */
static int try_unmount(const struct mount_identity *identity, bool lazy,
		       struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	int r;

	r = mountinfo_find_identity(identity, &entry);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read /proc/self/mountinfo: %s",
					strerror(-r));
	if (entry.covered)
		clear_way(identity, &entry);
	r = unmount_target(identity, &entry, lazy, reterr);
	/* whatever is said comes too late: who was quicker has done the work */
	if (!mountinfo_is_listed(&entry))
		return 0;
	/* what has that number now may be another one, where none is never given twice */
	if (r == 0 && identity->unique == 0 && !entry.covered)
		return 0;
	/* somebody may just have laid another one over it, and that is gone in its place */
	return r == 0 ? 1 : r;
}

/* What mounts that come and go make of an unmount. */
static bool may_pass(int r)
{
	return r == 1 || r == -EEXIST || r == -EACCES || r == -ENOENT || r == -EIO ||
	       r == -ENOTCONN;
}

int unmount_identity(const struct mount_identity *identity, bool lazy, struct imgfmt_error *reterr)
{
	int r = 1;

	for (int attempt = 0; may_pass(r) && attempt < ATTEMPTS; attempt++)
		r = try_unmount(identity, lazy, reterr);
	return r == 1 ? covered(reterr) : r;
}
