/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * umount2(2), fusermount3(1), and asking a server who it is before its mount goes away.
 */
#include "unmount.h"

#include "cleanup.h"
#include "identity.h"
#include "log.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* How often, and how far apart in ms, an unmount is tried that finds the mount in use. */
#define BUSY_ATTEMPTS 20
#define BUSY_INTERVAL 50

/* After how many ms a user who waits for a server is told so. */
#define SERVER_TIMEOUT 5000

/* ---- unmounting ---- */

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

int unmount_path(const char *path, bool lazy, struct imgfmt_error *reterr)
{
	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EPERM)
		return unmount_by_helper(path, lazy, reterr);
	if (errno == EBUSY)
		return imgfmt_error_set(reterr, -EBUSY, "is in use");
	return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
}

/* ---- the verb ---- */

static int ask_identity(const char *path, struct identity *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	return ioctl(fd, IDENTITY_IOCTL, ret) < 0 ? -errno : 0;
}

/*
 * Ask as the user who mounted: without allow_other nobody else is let in, not even root. In a
 * process of its own, which gives up what it was for good.
 */
static int ask_identity_as(const struct mount_entry *entry, struct identity *ret)
{
	int pipes[2], status;
	ssize_t count;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		struct identity identity;

		if (setgroups(0, NULL) == 0 &&
		    setresgid(entry->group, entry->group, entry->group) == 0 &&
		    setresuid(entry->user, entry->user, entry->user) == 0 &&
		    ask_identity(entry->target, &identity) == 0 &&
		    write(pipes[1], &identity, sizeof(identity)) == sizeof(identity))
			_exit(0);
		_exit(1);
	}
	close(pipes[1]);
	count = read(pipes[0], ret, sizeof(*ret));
	close(pipes[0]);
	if (pid < 0)
		return -EAGAIN;
	waitpid(pid, &status, 0);
	return count == sizeof(*ret) ? 0 : -EACCES;
}

/* Get a descriptor that becomes readable when the server ends. */
static int open_server(const struct mount_entry *entry, int *ret_fd)
{
	struct identity identity;
	int fd, r;

	r = ask_identity(entry->target, &identity);
	if (r == -EACCES && geteuid() == 0)
		r = ask_identity_as(entry, &identity);
	if (r < 0)
		return r;
	if (identity.version != IDENTITY_VERSION ||
	    identity.pid_namespace != identity_own_namespace())
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, identity.pid, 0);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Unmount what no server stands behind. */
static int remove_dead(const struct mount_entry *entry, struct imgfmt_error *reterr)
{
	int r;

	r = unmount_path(entry->target, false, reterr);
	if (r == -EBUSY)
		r = unmount_path(entry->target, true, reterr);
	if (r == 0)
		log_warning("%s: its server had died; removed the dead mount", entry->target);
	return r;
}

static int find_export(const char *path, struct mount_entry *ret, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *target = NULL;
	int r;

	r = resolve_path(path, &target);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s", strerror(-r));
	r = mountinfo_find_target(target, ret);
	if (r == -ENOENT)
		return imgfmt_error_set(reterr, r, "is not an export, nothing is mounted there");
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read /proc/self/mountinfo: %s",
					strerror(-r));
	if (!mount_entry_is_ours(ret))
		return imgfmt_error_set(reterr, -EINVAL,
					"is not an export of imgfuse but a mount of type %s",
					ret->type);
	return 0;
}

/*
 * Unmount, and give the server a moment: behind a write that was refused it uses the mount itself to put
 * the kernel's size right.
 */
static int unmount_patiently(const char *path, struct imgfmt_error *reterr)
{
	int r = unmount_path(path, false, reterr);

	for (int attempt = 0; r == -EBUSY && attempt < BUSY_ATTEMPTS; attempt++) {
		poll(NULL, 0, BUSY_INTERVAL);
		r = unmount_path(path, false, reterr);
	}
	return r;
}

/* Wait until the server behind a descriptor of its process has ended. */
static int wait_for_server(int server, const char *path, struct imgfmt_error *reterr)
{
	struct pollfd ended = { .fd = server, .events = POLLIN };
	int timeout = SERVER_TIMEOUT;

	for (;;) {
		int r = poll(&ended, 1, timeout);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return imgfmt_error_set(reterr, -errno, "%s", strerror(errno));
		if (r == 0) {
			log_warning("%s: unmounted; still waiting for its server, which has not "
				    "finished or is in use in another mount namespace",
				    path);
			timeout = -1;
		}
	}
}

int unmount_export(const char *path, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	_cleanup_close_ int server = -1;
	struct stat st;
	int r;

	r = find_export(path, &entry, reterr);
	if (r < 0)
		return r;
	if (stat(entry.target, &st) < 0 && errno == ENOTCONN)
		return remove_dead(&entry, reterr);
	r = open_server(&entry, &server);
	if (r == -ENOTCONN)
		return remove_dead(&entry, reterr);
	if (r < 0 && r != -ESRCH)
		return imgfmt_error_set(
			reterr, r, "cannot ask its server who it is (%s); only its user can end it",
			strerror(-r));
	r = unmount_patiently(entry.target, reterr);
	if (r == -EBUSY)
		return imgfmt_error_set(reterr, r, "is in use; close what uses it and try again");
	if (r < 0)
		return r;
	if (server < 0)
		return imgfmt_error_set(
			reterr, -ESRCH,
			"unmounted, but its server runs in another PID namespace, where "
			"its end cannot be waited for");
	return wait_for_server(server, entry.target, reterr);
}
