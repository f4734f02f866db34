/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounting through libfuse, and what becomes of the mount in the end.
 */
#include "session.h"

#include "attach.h"
#include "cleanup.h"
#include "log.h"
#include "operations.h"
#include "sandbox.h"
#include "unmount.h"
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- who is let in ---- */

/* The line that fusermount3 looks for, as it does: a line of its own. */
static bool conf_permits_allow_other(void)
{
	FILE *file = fopen("/etc/fuse.conf", "re");
	bool found = false;
	char line[256];

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *word = line + strspn(line, " \t");

		word[strcspn(word, " \t\n")] = '\0';
		found = strcmp(word, "user_allow_other") == 0;
	}
	if (file)
		fclose(file);
	return found;
}

int session_choose_allow_other(enum allow_other choice, bool *ret, struct imgfmt_error *reterr)
{
	bool permitted =
		choice != ALLOW_OTHER_OFF && (geteuid() == 0 || conf_permits_allow_other());

	if (choice == ALLOW_OTHER_ON && !permitted)
		return imgfmt_error_set(
			reterr, -EPERM,
			"--allow-other=on is not permitted: /etc/fuse.conf has no line "
			"user_allow_other");
	*ret = permitted;
	return 0;
}

/* ---- mounting ---- */

static int add_options(char **options, const char *source, bool read_only, bool allow_other)
{
	_cleanup_free_ char *fsname = NULL;

	if (asprintf(&fsname, "fsname=%s", source) < 0) {
		fsname = NULL;
		return -ENOMEM;
	}
	if (asprintf(options, "default_permissions,subtype=imgfuse,max_read=%u%s%s",
		     OPERATIONS_MAX_READ, read_only ? ",ro" : "",
		     allow_other ? ",allow_other" : "") < 0) {
		*options = NULL;
		return -ENOMEM;
	}
	return fuse_opt_add_opt_escaped(options, fsname) < 0 ? -ENOMEM : 0;
}

static int create_fuse_session(struct session *session, const char *source, bool allow_other)
{
	_cleanup_free_ char *options = NULL;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r;

	r = add_options(&options, source, session->inode->read_only, allow_other);
	if (r < 0)
		return r;
	if (fuse_opt_add_arg(&args, "imgfuse") < 0 || fuse_opt_add_arg(&args, "-o") < 0 ||
	    fuse_opt_add_arg(&args, options) < 0)
		r = -ENOMEM;
	if (r == 0)
		session->fuse =
			fuse_session_new(&args, &operations, sizeof(operations), session->inode);
	fuse_opt_free_args(&args);
	return session->fuse ? 0 : -ENOMEM;
}

/* Make one line of what was written to @fd. */
static void read_complaint(int fd, char *text, size_t size)
{
	ssize_t length = pread(fd, text, size - 1, 0);

	while (length > 0 && text[length - 1] == '\n')
		length--;
	text[length > 0 ? length : 0] = '\0';
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ';';
	if (!*text)
		snprintf(text, size, "%s", "libfuse does not say why");
}

/*
 * Mount, and catch what libfuse and fusermount3 print when they fail. There is one thread only,
 * so nobody misses stderr meanwhile.
 */
static int mount_by_libfuse(struct session *session, const char *mountpoint,
			    struct imgfmt_error *reterr)
{
	_cleanup_close_ int complaints = memfd_create("complaints", MFD_CLOEXEC);
	_cleanup_close_ int own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	char text[400];
	int r;

	if (complaints < 0 || own < 0 || dup2(complaints, STDERR_FILENO) < 0)
		return imgfmt_error_set(reterr, -errno, "cannot mount: %s", strerror(errno));
	r = fuse_session_mount(session->fuse, mountpoint);
	dup2(own, STDERR_FILENO);
	if (r == 0)
		return 0;
	read_complaint(complaints, text, sizeof(text));
	return imgfmt_error_set(reterr, -EIO, "cannot mount here: %s", text);
}

/* Mount on @mountpoint_fd, where that is permitted, or else by name and fusermount3. */
static int mount_session(struct session *session, int mountpoint_fd, const char *source,
			 bool allow_other, struct imgfmt_error *reterr)
{
	struct attachment attachment = { .device_fd = -1 };
	char name[32];
	int r;

	r = attach(&attachment, mountpoint_fd, source, OPERATIONS_MAX_READ,
		   session->inode->read_only, allow_other, reterr);
	if (r == -EPERM || r == -ENOSYS)
		return mount_by_libfuse(session, session->mountpoint, reterr);
	if (r < 0)
		return r;
	session->identity = attachment.identity;
	/* how libfuse takes what others have mounted */
	snprintf(name, sizeof(name), "/dev/fd/%d", attachment.device_fd);
	return mount_by_libfuse(session, name, reterr);
}

static void log_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void log_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
	char text[512];
	size_t length;

	vsnprintf(text, sizeof(text), format, arguments);
	length = strlen(text);
	if (length > 0 && text[length - 1] == '\n')
		text[length - 1] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("libfuse: %s", text);
	else
		log_verbose("libfuse: %s", text);
}

int session_mount(struct session *session, struct export_inode *inode, const char *mountpoint,
		  int mountpoint_fd, const char *source, bool allow_other,
		  struct imgfmt_error *reterr)
{
	int r;

	*session = (struct session){ .inode = inode, .claim_fd = -1, .ended_fd = -1 };
	session->mountpoint = strdup(mountpoint);
	session->ended_fd = eventfd(0, EFD_CLOEXEC);
	if (!session->mountpoint || session->ended_fd < 0)
		r = imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	else
		r = create_fuse_session(session, source, allow_other);
	if (r < 0)
		imgfmt_error_set(reterr, r, "libfuse does not start");
	else
		r = mount_session(session, mountpoint_fd, source, allow_other, reterr);
	if (r < 0) {
		session_finish(session);
		return r;
	}
	fuse_set_log_func(log_libfuse);
	return 0;
}

/* ---- serving ---- */

/*
 * As many workers as keep the processors busy while some of them wait for the host; never fewer
 * than let one write wait for another.
 */
static unsigned int worker_count(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	return processors < 2 ? 4 : processors > 4 ? 8 : (unsigned int)processors * 2;
}

int session_start(struct session *session, bool sandbox)
{
	const char *name = session->inode->name;
	int r;

	r = workers_create(session->fuse, worker_count(), session->ended_fd, &session->workers);
	if (r < 0)
		return r;
	if (sandbox)
		sandbox_begin(name);
	r = workers_start(session->workers);
	if (r < 0)
		return r;
	if (sandbox)
		sandbox_seal(name);
	workers_release(session->workers);
	return 0;
}

void session_end_claim(struct session *session)
{
	if (session->claim_fd >= 0)
		close(session->claim_fd);
	session->claim_fd = -1;
}

void session_stop(struct session *session)
{
	session->stopped = true;
	session->inode->stopped = true;
	workers_stop(session->workers);
}

bool session_is_mounted(const struct session *session)
{
	struct pollfd device = { .fd = fuse_session_fd(session->fuse) };

	return poll(&device, 1, 0) <= 0 || !(device.revents & POLLERR);
}

/* Remove a mount that nobody ever served, and so must not be asked anything. */
static void unmount(struct session *session)
{
	struct imgfmt_error why;

	if (session->identity.source && unmount_identity(&session->identity, true, &why) < 0)
		log_error("%s: cannot unmount: %s", session->mountpoint, why.text);
}

int session_disconnect(struct session *session)
{
	if (session->workers)
		session->result = workers_destroy(session->workers);
	else
		unmount(session);
	session->workers = NULL;
	/* with the mount gone, or stopped and then dead, this must only free */
	if (!session->stopped)
		fuse_session_unmount(session->fuse);
	fuse_session_destroy(session->fuse);
	session->fuse = NULL;
	/* a thread can meet the end of the mount while it takes a request */
	return session->result == -ECONNABORTED ? 0 : session->result;
}

void session_finish(struct session *session)
{
	if (session->fuse)
		session_disconnect(session);
	session_end_claim(session);
	if (session->ended_fd >= 0)
		close(session->ended_fd);
	mount_identity_finish(&session->identity);
	free(session->mountpoint);
}
