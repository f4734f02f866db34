/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file or block device of the host; see hostfile.h. Owns the descriptor.
 *
 * What stays true: a file grows by ftruncate() only while no write is under way ("growing"), as
 * a write that went beyond the size just asked for would be cut off. Calls of the kernel that do
 * not work everywhere (punching, zeroing) are tried first and replaced by written zeroes.
 */
#include "hostfile.h"

#include "align.h"
#include "cleanup.h"
#include "fullio.h"
#include "hostlock.h"
#include "lock.h"
#include "overflow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Zeroes are written in pieces of so many bytes. */
#define ZERO_CHUNK (UINT64_C(64) << 10)

struct hostfile {
	int fd;
	bool writable;
	bool block_device;
	uint64_t sector_size;     /* of a block device: what it can zero and discard */
	pthread_rwlock_t growing; /* shared by writes, exclusive around setting the size */
	_Atomic int sync_error;   /* the first one, for ever */
};

/* Zero for ever; not const, so that it takes no space in the program file. */
static char zeroes[ZERO_CHUNK];

int hostfile_create(int fd, bool writable, struct hostfile **ret)
{
	_cleanup_close_ int own_fd = fd;
	_cleanup_free_ struct hostfile *file = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->writable = writable;
	file->block_device = S_ISBLK(st.st_mode);
	file->sector_size = 1;
	if (file->block_device) {
		int sector_size;

		if (ioctl(fd, BLKSSZGET, &sector_size) < 0)
			return -errno;
		if (sector_size <= 0 || !is_power_of_two((uint64_t)sector_size))
			return -EINVAL;
		file->sector_size = (uint64_t)sector_size;
	}
	rwlock_init(&file->growing);
	file->fd = steal_fd(&own_fd);
	*ret = steal_ptr(file);
	return 0;
}

void hostfile_destroy(struct hostfile *file)
{
	if (!file)
		return;
	close(file->fd);
	pthread_rwlock_destroy(&file->growing);
	free(file);
}

int hostfile_lock(struct hostfile *file, enum hostfile_role role, struct imgfmt_error *reterr)
{
	return hostlock_take(file->fd, role, reterr);
}

int hostfile_size(struct hostfile *file, uint64_t *ret)
{
	struct stat st;
	uint64_t size;

	if (file->block_device) {
		if (ioctl(file->fd, BLKGETSIZE64, &size) < 0)
			return -errno;
		*ret = size;
		return 0;
	}
	if (fstat(file->fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int hostfile_allocated(struct hostfile *file, uint64_t *ret)
{
	struct stat st;

	if (file->block_device)
		return hostfile_size(file, ret);
	if (fstat(file->fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_blocks * 512;
	return 0;
}

int hostfile_identity(struct hostfile *file, uint64_t *ret_device, uint64_t *ret_inode)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	/* Many nodes may lead to one device. No file has inode number 0. */
	*ret_device = file->block_device ? st.st_rdev : st.st_dev;
	*ret_inode = file->block_device ? 0 : st.st_ino;
	return 0;
}

/* ---- moving bytes ---- */

int hostfile_read(struct hostfile *file, void *buffer, size_t count, uint64_t offset)
{
	ssize_t n = 0;

	/* No file reaches beyond what off_t can say. */
	if (offset <= INT64_MAX)
		n = pread_full(file->fd, buffer, (size_t)min_u64(count, INT64_MAX - offset),
			       offset);
	if (n < 0)
		return (int)n;
	if ((size_t)n < count)
		memset((char *)buffer + n, 0, count - (size_t)n);
	return 0;
}

static int check_writable(const struct hostfile *file, uint64_t offset, uint64_t length)
{
	if (!file->writable)
		return -EROFS;
	return range_fits(offset, length, INT64_MAX) ? 0 : -EFBIG;
}

int hostfile_write(struct hostfile *file, const void *buffer, size_t count, uint64_t offset)
{
	int r = check_writable(file, offset, count);

	if (r < 0)
		return r;
	SHARED(&file->growing);
	return pwrite_full(file->fd, buffer, count, offset);
}

int hostfile_writev(struct hostfile *file, struct iovec *iov, int iov_count, uint64_t offset)
{
	uint64_t count = 0;
	int r;

	for (int i = 0; i < iov_count; i++)
		if (!add_u64(count, iov[i].iov_len, &count))
			return -EFBIG;
	r = check_writable(file, offset, count);
	if (r < 0)
		return r;
	SHARED(&file->growing);
	return pwritev_full(file->fd, iov, iov_count, offset);
}

/* ---- size ---- */

int hostfile_truncate(struct hostfile *file, uint64_t size)
{
	uint64_t device_size;
	int r = check_writable(file, 0, size);

	if (r < 0)
		return r;
	if (file->block_device) {
		r = hostfile_size(file, &device_size);
		if (r < 0)
			return r;
		return size == device_size ? 0 : -ENOTSUP;
	}
	EXCLUSIVE(&file->growing);
	do
		r = ftruncate(file->fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int hostfile_extend(struct hostfile *file, uint64_t size)
{
	uint64_t current;
	int r = check_writable(file, 0, size);

	if (r < 0)
		return r;
	EXCLUSIVE(&file->growing);
	r = hostfile_size(file, &current);
	if (r < 0 || current >= size)
		return r;
	if (file->block_device)
		return -ENOSPC;
	do
		r = ftruncate(file->fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* ---- zeroes and holes ---- */

/* Does this error say that the host cannot do a thing, rather than that it failed? */
static bool is_unsupported(int r)
{
	/* The arguments are right: EINVAL is how some file systems say it. */
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL || r == -ENODEV || r == -ENOTTY;
}

static int change_space(struct hostfile *file, int mode, uint64_t offset, uint64_t length)
{
	int r;

	do
		r = fallocate(file->fd, mode, (off_t)offset, (off_t)length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int write_zeroes(struct hostfile *file, uint64_t offset, uint64_t length)
{
	while (length > 0) {
		size_t count = (size_t)min_u64(length, ZERO_CHUNK);
		int r = pwrite_full(file->fd, zeroes, count, offset);

		if (r < 0)
			return r;
		offset += count;
		length -= count;
	}
	return 0;
}

/* Write zeroes where there is data; holes are zero already. */
static int zero_data(struct hostfile *file, uint64_t offset, uint64_t length)
{
	while (length > 0) {
		uint64_t run;
		bool data;
		int r = hostfile_status(file, offset, length, &data, &run);

		if (r == 0 && data)
			r = write_zeroes(file, offset, run);
		if (r < 0)
			return r;
		offset += run;
		length -= run;
	}
	return 0;
}

/* Zero whole sectors inside the file. */
static int zero_inside(struct hostfile *file, uint64_t offset, uint64_t length, bool punch)
{
	int r = -EOPNOTSUPP;

	if (length == 0)
		return 0;
	if (punch)
		r = change_space(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
	if (is_unsupported(r))
		r = change_space(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
	if (is_unsupported(r))
		r = zero_data(file, offset, length);
	return r;
}

/* Zero a range of a block device: sectors by the device, parts of sectors by writing. */
static int zero_device(struct hostfile *file, uint64_t offset, uint64_t length, bool punch)
{
	uint64_t end = offset + length;
	uint64_t first = align_up(offset, file->sector_size);
	uint64_t last = align_down(end, file->sector_size);
	int r;

	if (first >= last)
		return write_zeroes(file, offset, length);
	r = write_zeroes(file, offset, first - offset);
	if (r == 0)
		r = zero_inside(file, first, last - first, punch);
	if (r == 0)
		r = write_zeroes(file, last, end - last);
	return r;
}

int hostfile_zero(struct hostfile *file, uint64_t offset, uint64_t length, bool punch)
{
	uint64_t size, inside;
	int r = check_writable(file, offset, length);

	if (r < 0 || length == 0)
		return r;
	r = hostfile_size(file, &size);
	if (r < 0)
		return r;
	if (file->block_device)
		return range_fits(offset, length, size) ? zero_device(file, offset, length, punch) :
							  -ENOSPC;
	inside = offset < size ? min_u64(length, size - offset) : 0;
	if (inside > 0) {
		SHARED(&file->growing);
		r = zero_inside(file, offset, inside, punch);
	}
	if (r < 0 || inside == length)
		return r;
	/* What lies beyond the end is zero unless somebody writes there right now. */
	return hostfile_extend(file, offset + length);
}

void hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length)
{
	uint64_t first, last;

	if (check_writable(file, offset, length) < 0 || length == 0)
		return;
	if (!file->block_device) {
		(void)change_space(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
				   length);
		return;
	}
	first = align_up(offset, file->sector_size);
	last = align_down(offset + length, file->sector_size);
	if (first < last)
		(void)ioctl(file->fd, BLKDISCARD, (uint64_t[2]){ first, last - first });
}

int hostfile_status(struct hostfile *file, uint64_t offset, uint64_t length, bool *ret_data,
		    uint64_t *ret_length)
{
	uint64_t size;
	off_t data, hole;
	int r = hostfile_size(file, &size);

	if (r < 0)
		return r;
	if (offset >= size) {
		*ret_data = false;
		*ret_length = length;
		return 0;
	}
	data = lseek(file->fd, (off_t)offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		*ret_data = false;
		*ret_length = length;
		return 0;
	}
	if (data > (off_t)offset) {
		*ret_data = false;
		*ret_length = min_u64(length, (uint64_t)data - offset);
		return 0;
	}
	/* Where the host cannot tell, or a hole has come up just now, data is never wrong. */
	hole = data < 0 ? -1 : lseek(file->fd, (off_t)offset, SEEK_HOLE);
	*ret_data = true;
	*ret_length =
		min_u64(length, hole > (off_t)offset ? (uint64_t)hole - offset : size - offset);
	return 0;
}

/* ---- durability ---- */

int hostfile_sync(struct hostfile *file)
{
	int r, none = 0;

	r = atomic_load(&file->sync_error);
	if (r < 0 || !file->writable)
		return r;
	do
		r = fdatasync(file->fd);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = -errno;
		atomic_compare_exchange_strong(&file->sync_error, &none, r);
	}
	/* Another thread's sync may have been told of the failure, and ours of nothing. */
	return r < 0 ? r : atomic_load(&file->sync_error);
}
