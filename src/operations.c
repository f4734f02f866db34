/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One short handler for each request; what a request means is decided in export.c. There is one
 * inode, the root, and it is a regular file.
 *
 * access and the xattr requests are left out on purpose: libfuse answers ENOSYS then, which the
 * kernel remembers, and so does not ask for security.capability before every write.
 */
#include "operations.h"

#include "export.h"
#include "identity.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the kernel may believe our attributes, in seconds: only blocks and times can change
 * behind its back, and only by what goes through it. */
#define ATTRIBUTES_TIMEOUT 1.0

static struct export_inode *export_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* What is known of a handle that is open for writing, or NULL. */
static struct losses_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct losses_handle *)(uintptr_t)fi->fh;
}

/* ---- errors ---- */

enum activity {
	READING,
	WRITING,
	ZEROING,
	FLUSHING,
	RESIZING,
	SEEKING,
	ACTIVITY_COUNT,
};

static const char *const activity_names[ACTIVITY_COUNT] = {
	"reading", "writing", "zeroing", "flushing", "changing the size", "looking for holes",
};

/* Log an error the first time that it comes up with this activity. */
static void log_once(struct export_inode *inode, enum activity activity, int r)
{
	static _Atomic uint64_t seen[ACTIVITY_COUNT];
	uint64_t bit = UINT64_C(1) << (-r % 64);

	if (atomic_fetch_or(&seen[activity], bit) & bit)
		return;
	if (r == -EPERM && activity == WRITING)
		log_error(
			"%s: refused a write that would make this raw disk be detected as another "
			"format; --format=raw allows it",
			inode->name);
	else if (r == -EUCLEAN)
		log_error(
			"%s: %s failed: the image contradicts itself; check it with qemu-img check",
			inode->name, activity_names[activity]);
	else
		log_error("%s: %s failed: %s", inode->name, activity_names[activity], strerror(-r));
}

/* Answer with an error, and log it where it is more than the caller's mistake. */
static void reply_error(fuse_req_t req, enum activity activity, int r)
{
	if (r != -EROFS && r != -EOPNOTSUPP && r != -EINVAL && r != -EFBIG && r != -ENXIO &&
	    r != -EAGAIN) /* which the helper is told */
		log_once(export_of(req), activity, r);
	fuse_reply_err(req, r == -EUCLEAN ? EIO : -r);
}

static void reply_result(fuse_req_t req, enum activity activity, int r)
{
	if (r < 0)
		reply_error(req, activity, r);
	else
		fuse_reply_err(req, 0);
}

/* ---- a buffer for every thread, so that reads do not allocate ---- */

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void create_buffer_key(void)
{
	if (pthread_key_create(&buffer_key, free) != 0)
		abort();
}

static void *thread_buffer(void)
{
	void *buffer;

	pthread_once(&buffer_once, create_buffer_key);
	buffer = pthread_getspecific(buffer_key);
	if (!buffer) {
		buffer = aligned_alloc(4096, OPERATIONS_MAX_READ);
		if (buffer && pthread_setspecific(buffer_key, buffer) != 0) {
			free(buffer);
			buffer = NULL;
		}
	}
	return buffer;
}

/* ---- the session ---- */

static void want(struct fuse_conn_info *conn, unsigned int capabilities, bool wanted)
{
	if (wanted)
		conn->want |= conn->capable & capabilities;
	else
		conn->want &= ~capabilities;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct export_inode *inode = userdata;

	conn->max_write = OPERATIONS_MAX_WRITE;
	conn->max_read = OPERATIONS_MAX_READ;
	conn->max_background = 64;
	want(conn, FUSE_CAP_WRITEBACK_CACHE, inode->cache == CACHE_WRITEBACK);
	want(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO, true);
	/* O_TRUNC must come as a request that we can answer with the unchanged size */
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, false);
	/* copying is faster for requests of our sizes */
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
	/* nobody else changes the image, so the cache is never out of date */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
	want(conn, FUSE_CAP_DIRECT_IO_ALLOW_MMAP, true);
#endif
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(req, ENOENT);
}

/* ---- attributes ---- */

static void reply_attributes(fuse_req_t req, struct export_inode *inode)
{
	double timeout = inode->usable ? ATTRIBUTES_TIMEOUT : 0;
	struct stat st;

	export_get_attributes(inode, &st);
	fuse_reply_attr(req, &st, timeout);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	reply_attributes(req, export_of(req));
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attributes, int to_set,
		       struct fuse_file_info *fi)
{
	struct export_inode *inode = export_of(req);
	int r;

	(void)ino;
	r = export_set_attributes(inode, attributes, to_set, fi != NULL, fuse_req_ctx(req)->pid);
	if (r < 0)
		reply_error(req, RESIZING, r);
	else
		reply_attributes(req, inode);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r;

	(void)ino;
	r = export_statvfs(export_of(req), &st);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_statfs(req, &st);
}

/* ---- handles ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct export_inode *inode = export_of(req);
	struct losses_handle *handle = NULL;
	int r;

	(void)ino;
	r = export_open(inode, (fi->flags & O_ACCMODE) != O_RDONLY, &handle);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fi->fh = (uintptr_t)handle;
	fi->direct_io = inode->cache == CACHE_NONE;
	fi->keep_cache = inode->cache != CACHE_NONE;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 15)
	fi->parallel_direct_writes = 1;
#endif
	/* an open that was interrupted will not be released */
	if (fuse_reply_open(req, fi) == -ENOENT)
		export_release(inode, handle);
}

/* When close() returns, the death of this process must lose nothing of what was written. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct export_inode *inode = export_of(req);
	struct losses_handle *handle = handle_of(fi);
	int r = 0;

	(void)ino;
	if (handle)
		r = imgfmt_writeback(inode->image);
	if (handle && r == 0)
		r = losses_ask(&inode->losses, handle);
	reply_result(req, FLUSHING, r);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct export_inode *inode = export_of(req);
	struct losses_handle *handle = handle_of(fi);
	int r;

	(void)ino;
	/* a mapping may have been written to after the last close() */
	r = handle ? imgfmt_writeback(inode->image) : 0;
	export_release(inode, handle);
	reply_result(req, FLUSHING, r);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct export_inode *inode = export_of(req);
	unsigned int known;
	int r;

	(void)ino;
	(void)datasync;
	known = losses_count(&inode->losses);
	r = imgfmt_flush(inode->image);
	if (r == 0 && handle_of(fi))
		losses_tell(&inode->losses, handle_of(fi), known);
	reply_result(req, FLUSHING, r);
}

/* ---- data ---- */

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t count, off_t guest_offset,
		    struct fuse_file_info *fi)
{
	void *buffer = thread_buffer();
	int r;

	(void)ino;
	(void)fi;
	if (!buffer || count > OPERATIONS_MAX_READ) {
		fuse_reply_err(req, buffer ? EINVAL : ENOMEM);
		return;
	}
	r = export_read(export_of(req), buffer, count, (uint64_t)guest_offset, &count);
	if (r < 0)
		reply_error(req, READING, r);
	else
		fuse_reply_buf(req, buffer, count);
}

/* A write of @count bytes met the end of the disk after @written of them. */
static void reply_excess(fuse_req_t req, size_t written, bool cached)
{
	/*
	 * What the kernel has cached is refused even where a part of it fitted: the writer sees
	 * that at fsync() or close(). And the kernel believes that the disk has grown.
	 */
	if (cached) {
		fuse_reply_err(req, ENOSPC);
	} else if (written == 0) {
		fuse_reply_err(req, ENOSPC);
	} else {
		fuse_reply_write(req, written);
	}
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buffer, size_t count,
		     off_t guest_offset, struct fuse_file_info *fi)
{
	struct export_inode *inode = export_of(req);
	bool cached = fi->writepage;
	bool sync = fi->flags & O_DSYNC && !cached;
	size_t written = 0;
	int r;

	(void)ino;
	if (cached)
		r = export_write_back(inode, buffer, count, (uint64_t)guest_offset, &written);
	else
		r = export_write(inode, buffer, count, (uint64_t)guest_offset, &written);
	/* only buffered writes are followed by an fsync of the kernel's */
	if (r == 0 && sync)
		r = imgfmt_flush(inode->image);
	if (r < 0 && cached)
		export_note_failure(inode, r);
	if (r < 0)
		reply_error(req, WRITING, r);
	else if (written < count)
		reply_excess(req, written, cached);
	else
		fuse_reply_write(req, written);
	if (cached && (r < 0 || written < count))
		export_forget(inode, (uint64_t)guest_offset, count);
}

/*
 * A request may be for the whole of a large disk. What has not come to its end after a piece of
 * some time can be interrupted, or whoever waits for it could not even be killed.
 */
static int allocate(fuse_req_t req, int mode, uint64_t guest_offset, uint64_t length)
{
	struct export_inode *inode = export_of(req);

	for (;;) {
		uint64_t done;
		int r = export_fallocate(inode, mode, guest_offset, length, &done);

		if (r < 0 || done == length)
			return r;
		if (inode->stopped || fuse_req_interrupted(req))
			return -EINTR;
		guest_offset += done;
		length -= done;
	}
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t guest_offset, off_t length,
			 struct fuse_file_info *fi)
{
	int r;

	(void)ino;
	(void)fi;
	r = allocate(req, mode, (uint64_t)guest_offset, (uint64_t)length);
	/* the end of the disk is mostly the caller's to know, and an interruption always */
	if (r == -ENOSPC || r == -EINTR)
		fuse_reply_err(req, -r);
	else
		reply_result(req, ZEROING, r);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t guest_offset, int whence,
		     struct fuse_file_info *fi)
{
	uint64_t found;
	int r;

	(void)ino;
	(void)fi;
	r = export_seek(export_of(req), (uint64_t)guest_offset, whence, &found);
	if (r < 0)
		reply_error(req, SEEKING, r);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/* ---- ours ---- */

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
		     struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
		     size_t out_size)
{
	const struct export_inode *inode = export_of(req);
	const struct identity identity = {
		.version = IDENTITY_VERSION,
		.outcome_fd = inode->outcome_fd,
		.supervisor = inode->supervisor,
		.helper = inode->helper,
		.server = getpid(),
		.pid_namespace = inode->pid_namespace,
	};

	(void)ino;
	(void)argument;
	(void)fi;
	(void)flags;
	(void)in;
	(void)in_size;
	if (command != IDENTITY_IOCTL || out_size < sizeof(identity))
		fuse_reply_err(req, ENOTTY);
	else
		fuse_reply_ioctl(req, 0, &identity, sizeof(identity));
}

const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,
	.open = op_open,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.read = op_read,
	.write = op_write,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.ioctl = op_ioctl,
};
