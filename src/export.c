/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode. What the kernel's write-back cache makes of sizes decides much here; where a rule
 * has its reason there, a comment says so.
 */
#include "export.h"

#include "align.h"
#include "lock.h"
#include "log.h"
#include "overflow.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <time.h>
#include <unistd.h>

/* The unit of files that have none of their own. */
#define PLAIN_BLOCK_SIZE 4096

void export_init(struct export_inode *inode, struct imgfmt_image *image, const char *name,
		 const struct options *options, const struct stat *image_stat, int host_fd)
{
	struct imgfmt_info info;

	imgfmt_get_info(image, &info);
	*inode = (struct export_inode){
		.image = image,
		.name = name,
		.host_fd = host_fd,
		.block_size = info.cluster_size ? (uint32_t)info.cluster_size : PLAIN_BLOCK_SIZE,
		.read_only = imgfmt_is_read_only(image),
		.growable = options->growable,
		.server_uid = geteuid(),
		.cache = options->cache,
	};
	/*
	 * Of a new end that only the kernel's cache knew, nothing would be left once we say how
	 * large the disk is, which an open with O_TRUNC makes us do. And where nobody writes there
	 * is nothing to keep back.
	 */
	if ((inode->growable || inode->read_only) && inode->cache == CACHE_WRITEBACK)
		inode->cache = CACHE_WRITETHROUGH;
	rwlock_init(&inode->resize);
	losses_init(&inode->losses);
	pthread_mutex_init(&inode->attributes_lock, NULL);
	inode->attributes.st_mode = S_IFREG | (image_stat->st_mode & 0777);
	if (inode->read_only)
		inode->attributes.st_mode &= ~(mode_t)0222;
	inode->attributes.st_uid = image_stat->st_uid;
	inode->attributes.st_gid = image_stat->st_gid;
	inode->attributes.st_atim = image_stat->st_atim;
	inode->attributes.st_mtim = image_stat->st_mtim;
	inode->attributes.st_ctim = image_stat->st_ctim;
}

void export_finish(struct export_inode *inode)
{
	close(inode->host_fd);
	pthread_rwlock_destroy(&inode->resize);
	losses_finish(&inode->losses);
	pthread_mutex_destroy(&inode->attributes_lock);
}

void export_get_attributes(struct export_inode *inode, struct stat *ret)
{
	{
		LOCKED(&inode->attributes_lock);
		*ret = inode->attributes;
	}
	ret->st_ino = FUSE_ROOT_ID;
	ret->st_nlink = 1;
	ret->st_size = (off_t)imgfmt_size(inode->image);
	ret->st_blocks = (blkcnt_t)(imgfmt_allocated(inode->image) / 512);
	ret->st_blksize = (blksize_t)inode->block_size;
	/*
	 * The first priming sets the size and so must be permitted to. We may write to the image,
	 * but perhaps not for a reason that mode and owner show.
	 */
	if (!inode->usable) {
		ret->st_uid = inode->server_uid;
		ret->st_mode |= 0600;
	}
}

static int resize(struct export_inode *inode, uint64_t size, bool has_handle, pid_t caller)
{
	EXCLUSIVE(&inode->resize);
	uint64_t old_size = imgfmt_size(inode->image);
	int r;

	if (size == old_size)
		return 0;
	if (size == 0 && !has_handle)
		return 0;
	if (inode->read_only)
		return -EROFS;
	r = imgfmt_truncate(inode->image, size);
	/* a disk seldom gets smaller on purpose, and what was there is gone */
	if (r == 0 && imgfmt_size(inode->image) < old_size)
		log_warning("%s: process %d has cut the disk from %ju to %ju bytes", inode->name,
			    (int)caller, (uintmax_t)old_size, (uintmax_t)imgfmt_size(inode->image));
	return r;
}

static void set_times_locked(struct export_inode *inode, const struct stat *attributes, int to_set)
{
	struct stat *own = &inode->attributes;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		own->st_atim = now;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		own->st_atim = attributes->st_atim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		own->st_mtim = now;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		own->st_mtim = attributes->st_mtim;
	own->st_ctim = to_set & FUSE_SET_ATTR_CTIME ? attributes->st_ctim : now;
}

/*
 * Our answer cuts the kernel's cache off at the end of the disk. Whoever has the export open for
 * writing may have put something behind it that is not refused yet, and would never be.
 */
static bool may_correct(struct export_inode *inode, int to_set)
{
	if (!(to_set & FUSE_SET_ATTR_SIZE) || !inode->usable)
		return true;
	inode->oversized = true; /* first: the last release looks at it when it is none any more */
	if (inode->writers > 0)
		return false;
	inode->oversized = false;
	return true;
}

int export_set_attributes(struct export_inode *inode, const struct stat *attributes, int to_set,
			  bool has_handle, pid_t caller)
{
	int r;

	if (caller == inode->helper)
		return may_correct(inode, to_set) ? 0 : -EAGAIN;
	if (to_set & FUSE_SET_ATTR_MODE && inode->read_only && attributes->st_mode & 0222)
		return -EROFS;
	if (to_set & FUSE_SET_ATTR_SIZE) {
		if (attributes->st_size < 0)
			return -EINVAL;
		r = resize(inode, (uint64_t)attributes->st_size, has_handle, caller);
		if (r < 0)
			return r;
	}

	LOCKED(&inode->attributes_lock);
	if (to_set & FUSE_SET_ATTR_MODE)
		inode->attributes.st_mode = S_IFREG | (attributes->st_mode & 07777);
	if (to_set & FUSE_SET_ATTR_UID)
		inode->attributes.st_uid = attributes->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		inode->attributes.st_gid = attributes->st_gid;
	set_times_locked(inode, attributes, to_set);
	return 0;
}

int export_open(struct export_inode *inode, bool writable, struct losses_handle **ret)
{
	struct losses_handle *handle = NULL;

	if (writable && inode->read_only)
		return -EROFS;
	if (writable) {
		handle = malloc(sizeof(*handle));
		if (!handle)
			return -ENOMEM;
		losses_open(&inode->losses, handle);
		atomic_fetch_add(&inode->writers, 1);
	}
	*ret = handle;
	return 0;
}

void export_release(struct export_inode *inode, struct losses_handle *handle)
{
	if (!handle)
		return;
	losses_close(&inode->losses, handle);
	free(handle);
	if (atomic_fetch_sub(&inode->writers, 1) == 1 && (inode->refused || inode->oversized))
		inode->settle(inode->userdata);
}

void export_note_failure(struct export_inode *inode, int error)
{
	if (error == -EPERM)
		inode->refused = true;
	else
		losses_note(&inode->losses, error);
}

void export_forget(struct export_inode *inode, uint64_t guest_offset, uint64_t length)
{
	uint64_t end;

	if (!add_u64(guest_offset, length, &end))
		end = UINT64_MAX;
	inode->drop_cache(inode->userdata, guest_offset, end);
}

/* How much of a range lies inside the disk. Needs inode->resize, or the answer may be too old. */
static uint64_t length_inside(const struct export_inode *inode, uint64_t guest_offset,
			      uint64_t length)
{
	uint64_t size = imgfmt_size(inode->image);

	return guest_offset < size ? min_u64(length, size - guest_offset) : 0;
}

int export_read(struct export_inode *inode, void *buffer, size_t count, uint64_t guest_offset,
		size_t *ret_count)
{
	SHARED(&inode->resize);
	int r;

	count = (size_t)length_inside(inode, guest_offset, count);
	if (count > 0) {
		r = imgfmt_read(inode->image, buffer, count, guest_offset);
		if (r < 0)
			return r;
	}
	*ret_count = count;
	return 0;
}

/* Make the disk at least @size bytes long. */
static int grow(struct export_inode *inode, uint64_t size)
{
	/* mostly it is, and nobody has to wait to see that */
	if (size <= imgfmt_size(inode->image))
		return 0;
	EXCLUSIVE(&inode->resize);
	if (size <= imgfmt_size(inode->image))
		return 0;
	return imgfmt_truncate(inode->image, size);
}

/*
 * Under the write-back cache the time of the last change is the kernel's business, and it does not
 * move it: it sets the root inode up before it knows of that cache. To move it from outside, after
 * the last close say, would keep the mount busy just when it is to be unmounted.
 */
static void note_change(struct export_inode *inode)
{
	struct timespec now;

	if (inode->cache == CACHE_WRITEBACK)
		return;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	LOCKED(&inode->attributes_lock);
	inode->attributes.st_mtim = inode->attributes.st_ctim = now;
}

/* Write what of a range lies inside the disk. */
static int write_inside(struct export_inode *inode, const void *buffer, size_t count,
			uint64_t guest_offset, size_t *ret_count)
{
	SHARED(&inode->resize);
	int r;

	count = (size_t)length_inside(inode, guest_offset, count);
	if (count > 0) {
		r = imgfmt_write(inode->image, buffer, count, guest_offset);
		if (r < 0)
			return r;
		note_change(inode);
	}
	*ret_count = count;
	return 0;
}

int export_write(struct export_inode *inode, const void *buffer, size_t count,
		 uint64_t guest_offset, size_t *ret_count)
{
	uint64_t end;
	int r;

	if (inode->read_only)
		return -EROFS;
	if (!add_u64(guest_offset, count, &end) || end > INT64_MAX)
		return -EFBIG;
	if (inode->growable) {
		r = grow(inode, end);
		if (r < 0)
			return r;
	}
	return write_inside(inode, buffer, count, guest_offset, ret_count);
}

/*
 * A write that the kernel had cached goes past the end, and is refused. Whoever wrote learns it
 * from the kernel at fsync() or close(). But the kernel also keeps it for the fsync() of the next
 * one who opens the file, who has nothing to do with it, and believes that the disk has grown:
 * after the last release the helper becomes that next one, and puts the size right. Not before, as
 * that drops what others have put there and not been told of yet.
 */
static void note_excess(struct export_inode *inode)
{
	inode->oversized = true;
	inode->refused = true;
}

int export_write_back(struct export_inode *inode, const void *buffer, size_t count,
		      uint64_t guest_offset, size_t *ret_count)
{
	uint64_t guarded = imgfmt_guarded(inode->image), end;
	size_t refused;
	int r;

	if (!add_u64(guest_offset, count, &end) || end > imgfmt_size(inode->image))
		note_excess(inode);
	r = export_write(inode, buffer, count, guest_offset, ret_count);
	if (r != -EPERM || guest_offset >= guarded || count <= guarded - guest_offset)
		return r;
	refused = (size_t)(guarded - guest_offset);
	r = export_write(inode, (const uint8_t *)buffer + refused, count - refused, guarded,
			 ret_count);
	return r < 0 ? r : -EPERM;
}

/* Zero some of what of a range lies inside the disk, where there may be nothing of it. */
static int zero_inside(struct export_inode *inode, uint64_t guest_offset, uint64_t length,
		       enum imgfmt_zero_mode mode, uint64_t *ret_done)
{
	SHARED(&inode->resize);
	uint64_t inside = length_inside(inode, guest_offset, length);
	int r = 0;

	*ret_done = inside;
	if (inside > 0) {
		note_change(inode);
		r = imgfmt_zero_some(inode->image, guest_offset, inside, mode, ret_done);
	}
	if (*ret_done == inside)
		*ret_done = length;
	return r;
}

int export_fallocate(struct export_inode *inode, int mode, uint64_t guest_offset, uint64_t length,
		     uint64_t *ret_done)
{
	bool keep_size = mode & FALLOC_FL_KEEP_SIZE;
	bool punch = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	bool zero = (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE;
	uint64_t end;
	int r;

	if (!punch && !zero && mode != 0)
		return -EOPNOTSUPP;
	if (inode->read_only)
		return -EROFS;
	if (!add_u64(guest_offset, length, &end) || end > INT64_MAX)
		return -EFBIG;
	if (!keep_size && end > imgfmt_size(inode->image)) {
		if (!inode->growable)
			return -ENOSPC;
		r = grow(inode, end);
		if (r < 0)
			return r;
	}
	if (mode == 0) {
		*ret_done = length;
		return 0;
	}
	return zero_inside(inode, guest_offset, length,
			   punch ? IMGFMT_ZERO_DISCARD : IMGFMT_ZERO_KEEP, ret_done);
}

int export_seek(struct export_inode *inode, uint64_t guest_offset, int whence, uint64_t *ret_offset)
{
	SHARED(&inode->resize);
	uint64_t size = imgfmt_size(inode->image);

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (guest_offset >= size)
		return -ENXIO;
	/*
	 * The kernel asks without writing back first, so what a writer has put into its cache
	 * is not in our map yet. The last release comes after everything is written back.
	 */
	if (inode->writers > 0) {
		*ret_offset = whence == SEEK_DATA ? guest_offset : size;
		return 0;
	}
	return imgfmt_seek(inode->image, guest_offset,
			   whence == SEEK_DATA ? IMGFMT_DATA : IMGFMT_HOLE, ret_offset);
}

/* @blocks of @unit bytes, counted in blocks of @wanted bytes. */
static fsblkcnt_t recount(fsblkcnt_t blocks, unsigned long unit, uint32_t wanted)
{
	return (fsblkcnt_t)((unsigned __int128)blocks * unit / wanted);
}

int export_statvfs(struct export_inode *inode, struct statvfs *ret)
{
	unsigned long unit;
	struct statvfs st;

	if (fstatvfs(inode->host_fd, &st) < 0)
		return -errno;
	/* a loop device takes its discard granularity from the block size */
	unit = st.f_frsize ? st.f_frsize : st.f_bsize;
	st.f_blocks = recount(st.f_blocks, unit, inode->block_size);
	st.f_bfree = recount(st.f_bfree, unit, inode->block_size);
	st.f_bavail = recount(st.f_bavail, unit, inode->block_size);
	st.f_bsize = st.f_frsize = inode->block_size;
	*ret = st;
	return 0;
}
