/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile-server MOUNTPOINT [SILENCE | PID | PID:FD]: a file system that calls its type as ours
 * does. Asked who it is, it names itself, and says that its image is final, which there is not; and
 * that its processes are PID. Or it names that one, with FD as the descriptor of the outcome. It
 * does not answer what SILENCE names: getattr, open or ioctl. Prints a line when it is there, and
 * ends when it is unmounted.
 *
 * $FUSE_OPTIONS are to mount with. It shows the file $SHOWN, as root's, or otherwise nothing.
 */
#define FUSE_USE_VERSION 314

#include "cleanup.h"
#include "identity.h"
#include "mountinfo.h"
#include "outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *silence = "";
static int shown_fd = -1;
static int outcome_fd;
static pid_t holder;

static bool is_silent(const char *request)
{
	return strcmp(silence, request) == 0;
}

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	(void)connection;
	puts("there");
	fflush(stdout);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = {
		.st_ino = ino,
		.st_mode = S_IFREG | 0666,
		.st_nlink = 1,
		.st_uid = getuid(),
		.st_gid = getgid(),
		.st_size = 1 << 20,
	}, shown;

	(void)fi;
	if (fstat(shown_fd, &shown) == 0) {
		st.st_size = shown.st_size;
		st.st_uid = st.st_gid = 0;
	}
	if (!is_silent("getattr"))
		fuse_reply_attr(req, &st, 0);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (!is_silent("open"))
		fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t count, off_t offset,
		    struct fuse_file_info *fi)
{
	char *bytes = malloc(count);
	ssize_t n = bytes ? pread(shown_fd, bytes, count, offset) : -1;

	(void)ino;
	(void)fi;
	if (n < 0)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
	free(bytes);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
		     struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
		     size_t out_size)
{
	const struct identity identity = {
		.version = IDENTITY_VERSION,
		.outcome_fd = outcome_fd,
		.supervisor = holder,
		.helper = holder,
		.server = holder,
		.pid_namespace = identity_own_namespace(),
	};

	(void)ino;
	(void)command;
	(void)argument;
	(void)fi;
	(void)flags;
	(void)in;
	(void)in_size;
	if (out_size < sizeof(identity))
		fuse_reply_err(req, ENOTTY);
	else if (!is_silent("ioctl"))
		fuse_reply_ioctl(req, 0, &identity, sizeof(identity));
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.ioctl = op_ioctl,
};

/* What the supervisor of an export would say. */
static void create_outcome(const char *mountpoint, pid_t named)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	struct family family = {
		.version = FAMILY_VERSION,
		.supervisor = named,
		.helper = named,
		.server = named,
		.pid_namespace = identity_own_namespace(),
	};

	if (mountinfo_find_target(mountpoint, &entry) == 0)
		family.device = entry.device;
	outcome_fd = outcome_create();
	outcome_write(outcome_fd, 0, "");
	outcome_write_family(outcome_fd, &family);
}

int main(int argc, char **argv)
{
	const char *shown = getenv("SHOWN"), *options = getenv("FUSE_OPTIONS");
	char mount_options[128];
	char *arguments[] = { argv[0], mount_options };
	struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
	struct fuse_session *session;
	pid_t named;

	if (argc < 2)
		return 2;
	snprintf(mount_options, sizeof(mount_options), "-o%s",
		 options ? options : "subtype=imgfuse,fsname=imgfuse:hostile");
	if (shown)
		shown_fd = open(shown, O_RDONLY);
	holder = named = getpid();
	if (argc > 2 && sscanf(argv[2], "%d:%d", &named, &outcome_fd) < 1)
		silence = argv[2];
	if (outcome_fd > 0)
		holder = named;
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session || fuse_session_mount(session, argv[1]) < 0)
		return 1;
	if (outcome_fd == 0)
		create_outcome(argv[1], named);
	fuse_session_loop(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return 0;
}
