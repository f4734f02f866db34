/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's system calls; see host.h. */
#include "host.h"

#include "align.h"
#include "fullio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct host *current;

/* ---- files ---- */

static void give_up(const char *what)
{
	perror(what);
	exit(2);
}

void host_init(struct host *host, const struct memfile *files)
{
	*host = (struct host){ 0 };
	for (unsigned int i = 0; i < FILE_COUNT; i++) {
		host->fds[i] = memfd_create("imgfuse-faults", MFD_CLOEXEC);
		if (host->fds[i] < 0 || ftruncate(host->fds[i], (off_t)files[i].size) < 0 ||
		    pwrite_full(host->fds[i], files[i].bytes, (size_t)files[i].size, 0) < 0)
			give_up("a file in memory");
	}
	memfiles_copy(host->durable, files);
	current = host;
}

void host_finish(struct host *host)
{
	for (unsigned int i = 0; i < FILE_COUNT; i++)
		close(host->fds[i]);
	memfiles_finish(host->durable);
	free(host->log);
	current = NULL;
}

int host_open(struct host *host, unsigned int file, bool writable)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", host->fds[file]);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void host_load(struct host *host, unsigned int file, struct memfile *ret)
{
	bool armed = host->armed;
	struct stat st;

	host->armed = false;
	if (fstat(host->fds[file], &st) < 0)
		give_up("a file in memory");
	memfile_resize(ret, (uint64_t)st.st_size);
	if (pread_full(host->fds[file], ret->bytes, (size_t)st.st_size, 0) != st.st_size)
		give_up("a file in memory");
	host->armed = armed;
}

/* Which file a descriptor is of. */
static unsigned int file_of(int fd)
{
	struct stat st, ours;

	if (fstat(fd, &st) == 0)
		for (unsigned int i = 0; i < FILE_COUNT; i++)
			if (fstat(current->fds[i], &ours) == 0 && ours.st_ino == st.st_ino)
				return i;
	return FILE_IMAGE;
}

/* Some sectors become what they were at the last sync. */
static void lose(int fd)
{
	unsigned int file = file_of(fd);
	struct memfile now = { 0 };
	struct memfile *durable = &current->durable[file];
	unsigned int percent = (unsigned int)prng_below(&current->prng, 101);

	host_load(current, file, &now);
	memfile_resize(durable, now.size);
	for (uint64_t at = 0; at < now.size; at += SECTOR) {
		size_t count = (size_t)min_u64(SECTOR, now.size - at);

		if (memcmp(now.bytes + at, durable->bytes + at, count) != 0 &&
		    prng_chance(&current->prng, percent) &&
		    pwrite_full(current->fds[file], durable->bytes + at, count, at) < 0)
			give_up("a file in memory");
	}
	memfile_finish(&now);
	host_load(current, file, durable);
}

/* ---- whose turn it is ---- */

static void log_call(struct host *host, enum call call)
{
	if (!host->log)
		return;
	must_reserve(&host->log, (size_t)host->count, &host->log_capacity, sizeof(*host->log));
	host->log[host->count] = call;
}

/* Count a call. Is it hit, and how? */
static enum effect count_call(enum call call)
{
	struct host *host = current;
	const struct fault *fault = host ? host->fault : NULL;

	if (!host || !host->armed)
		return EFFECT_NONE;
	log_call(host, call);
	host->count++;
	if (!fault || !fault->calls[call])
		return EFFECT_NONE;
	if (host->count != host->nth && !(host->for_good && host->count > host->nth))
		return EFFECT_NONE;
	host->hits++;
	if (call == CALL_SYNC && !fault->harmless)
		host->sync_failed = true;
	if (call == CALL_LOCK && !fault->harmless)
		host->lock_failed = true;
	/* The second half of a write that was cut off: see cut_write(). */
	if (fault->effect == EFFECT_SHORT_ERROR && host->hits > 1)
		return EFFECT_ERROR;
	return fault->effect;
}

static bool fails(enum effect effect)
{
	if (effect != EFFECT_ERROR && effect != EFFECT_LOSS)
		return false;
	errno = current->fault->error;
	return true;
}

/*
 * How much of a write of @count bytes is done. Where an error follows, whole sectors: smaller parts
 * of a file do not get lost.
 */
static size_t cut_write(enum effect effect, size_t count, off_t offset)
{
	uint64_t end = (uint64_t)offset + count / 2;

	if (effect == EFFECT_SHORT)
		return count / 2 > 0 ? count / 2 : count;
	end = align_down(end, SECTOR);
	return end > (uint64_t)offset ? (size_t)(end - (uint64_t)offset) : 0;
}

/* ---- the calls ---- */

ssize_t __real_pread64(int fd, void *buffer, size_t count, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buffer, size_t count, off_t offset);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int iov_count, off_t offset);
int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __real_ftruncate64(int fd, off_t length);
int __real_fdatasync(int fd);
int __real_fstat64(int fd, struct stat *st);
off_t __real_lseek64(int fd, off_t offset, int whence);
int __real_fcntl64(int fd, int command, struct flock *lock);

ssize_t __wrap_pread64(int fd, void *buffer, size_t count, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t count, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int iov_count, off_t offset);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_ftruncate64(int fd, off_t length);
int __wrap_fdatasync(int fd);
int __wrap_fstat64(int fd, struct stat *st);
off_t __wrap_lseek64(int fd, off_t offset, int whence);
int __wrap_fcntl64(int fd, int command, struct flock *lock);

ssize_t __wrap_pread64(int fd, void *buffer, size_t count, off_t offset)
{
	enum effect effect = count_call(CALL_READ);

	if (fails(effect))
		return -1;
	if (effect == EFFECT_SHORT && count > 1)
		count /= 2;
	return __real_pread64(fd, buffer, count, offset);
}

/* A write of some bytes, or its first part. The rest of a cut-off write is the next call. */
static ssize_t write_part(enum effect effect, int fd, const void *buffer, size_t count,
			  off_t offset)
{
	size_t part = cut_write(effect, count, offset);

	if (part == 0) {
		errno = current->fault->error;
		return -1;
	}
	if (effect == EFFECT_SHORT_ERROR)
		current->nth = current->count + 1;
	return __real_pwrite64(fd, buffer, part, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t count, off_t offset)
{
	enum effect effect = count_call(CALL_WRITE);

	if (fails(effect))
		return -1;
	if (effect != EFFECT_NONE)
		return write_part(effect, fd, buffer, count, offset);
	return __real_pwrite64(fd, buffer, count, offset);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int iov_count, off_t offset)
{
	enum effect effect = count_call(CALL_WRITE);
	size_t count = 0;
	uint8_t *bytes;
	ssize_t n;

	if (fails(effect))
		return -1;
	if (effect == EFFECT_NONE)
		return __real_pwritev64(fd, iov, iov_count, offset);
	for (int i = 0; i < iov_count; i++)
		count += iov[i].iov_len;
	bytes = must_calloc(1, count);
	count = 0;
	for (int i = 0; i < iov_count; i++) {
		memcpy(bytes + count, iov[i].iov_base, iov[i].iov_len);
		count += iov[i].iov_len;
	}
	n = write_part(effect, fd, bytes, count, offset);
	free(bytes);
	return n;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
	return fails(count_call(CALL_SPACE)) ? -1 : __real_fallocate64(fd, mode, offset, length);
}

int __wrap_ftruncate64(int fd, off_t length)
{
	return fails(count_call(CALL_RESIZE)) ? -1 : __real_ftruncate64(fd, length);
}

int __wrap_fdatasync(int fd)
{
	enum effect effect = count_call(CALL_SYNC);

	if (effect == EFFECT_LOSS) {
		current->armed = false;
		lose(fd);
		current->armed = true;
	} else if (effect == EFFECT_NONE && current && current->armed && current->fault &&
		   current->fault->effect == EFFECT_LOSS) {
		current->armed = false;
		host_load(current, file_of(fd), &current->durable[file_of(fd)]);
		current->armed = true;
	}
	return fails(effect) ? -1 : __real_fdatasync(fd);
}

int __wrap_fstat64(int fd, struct stat *st)
{
	return fails(count_call(CALL_STAT)) ? -1 : __real_fstat64(fd, st);
}

off_t __wrap_lseek64(int fd, off_t offset, int whence)
{
	return fails(count_call(CALL_SEEK)) ? -1 : __real_lseek64(fd, offset, whence);
}

/* The library calls it for locks only. */
int __wrap_fcntl64(int fd, int command, struct flock *lock)
{
	return fails(count_call(CALL_LOCK)) ? -1 : __real_fcntl64(fd, command, lock);
}
