/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One message, one job, one answer.
 */
#include "helper.h"

#include "align.h"
#include "channel.h"
#include "cleanup.h"
#include "log.h"
#include "unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* In KiB. The kernel's default of 128 limits the first reading of a disk. */
#define READAHEAD "1024"

/*
 * In percent of what may be dirty in all. The kernel's default for FUSE is 1: writers wait all the
 * time.
 */
#define DIRTY_SHARE "10"

/* How often, and how far apart in ms, pages are dropped that will not go. */
#define DROP_ATTEMPTS 25
#define DROP_INTERVAL 10

/* On all machines but Alpha, whose kernel then says that there is no such call. */
#define SYS_CACHESTAT 451

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * Open the mount, wherever it is by now: somebody may have renamed a directory above it. What else
 * is there is not opened.
 */
static int open_mount(const struct mount_identity *identity, int flags)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	_cleanup_free_ char *path = NULL;
	int r = mountinfo_find_identity(identity, &entry);

	if (r < 0)
		return r;
	path = mount_identity_path(identity, &entry);
	return path ? mountinfo_open(path, entry.device, flags) : -ENOMEM;
}

/* Be the one whom the kernel tells of an error that it keeps for the next to ask. */
static void take_error(const struct mount_identity *identity)
{
	_cleanup_close_ int fd = open_mount(identity, O_RDONLY);

	if (fd >= 0)
		fsync(fd);
}

/* For cachestat(2), which the headers may not know yet. */
struct cache_range {
	uint64_t offset, length;
};

struct cache_counts {
	uint64_t cached, dirty, written_back, evicted, recently_evicted;
};

/*
 * Is anything cached of a range, as far as the kernel tells? Not by mincore(2): to unmap a file
 * again means to FUSE that errors of others are errors of I/O.
 */
static bool is_cached(int fd, uint64_t offset, uint64_t length)
{
	struct cache_range range = { offset, length };
	struct cache_counts counts;

	return syscall(SYS_CACHESTAT, fd, &range, &counts, 0) < 0 || counts.cached > 0;
}

/*
 * Drop pages that are in step with the disk, or were to be and could not. What was written to them
 * since stays, and so does what is mapped; and what somebody just has a look at, like the fsync()
 * that waits for it, hence more than once.
 */
static void drop_cache(const struct mount_identity *identity, const uint64_t range[2])
{
	_cleanup_close_ int fd = open_mount(identity, O_RDONLY);
	uint64_t begin = align_down(range[0], page_size());
	uint64_t end = min_u64(range[1], align_down(INT64_MAX, page_size()));
	uint64_t length = begin < end ? align_up(end, page_size()) - begin : 0;

	if (fd < 0 || length == 0)
		return;
	for (int attempt = 0; attempt < DROP_ATTEMPTS; attempt++) {
		posix_fadvise(fd, (off_t)begin, (off_t)length, POSIX_FADV_DONTNEED);
		if (!is_cached(fd, begin, length))
			return;
		poll(NULL, 0, DROP_INTERVAL);
	}
}

/*
 * Under the write-back cache the size is the kernel's business: it starts as 0, follows cached
 * writes beyond the end, and is taken from the server only in the answer to a change of the size.
 * That answer is always the true size, see export_set_attributes().
 */
static int correct(const struct mount_identity *identity, const struct message *wanted)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	fd = open_mount(identity, O_PATH);
	if (fd < 0)
		return fd;
	if (wanted->value & CORRECT_CACHE)
		drop_cache(identity, wanted->range);
	if (wanted->value & CORRECT_ERROR)
		take_error(identity);
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	if (wanted->value & CORRECT_SIZE && truncate(path, (off_t)wanted->size) < 0)
		return -errno;
	if (wanted->value & CORRECT_TIMES && utimensat(AT_FDCWD, path, wanted->times, 0) < 0)
		return -errno;
	return 0;
}

/* Set what the kernel says of a mount's caching below /sys/class/bdi. */
static void set_caching(const struct mount_identity *identity, const char *name,
			const char *attribute, const char *value)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", major(identity->device),
		 minor(identity->device), attribute);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, value, strlen(value)) > 0)
		log_verbose("%s: %s is %s", name, attribute, value);
}

/*
 * Let the kernel read further ahead and cache more writes than it does by itself, where permitted.
 */
static void tune(const struct mount_identity *identity, const char *name)
{
	set_caching(identity, name, "read_ahead_kb", READAHEAD);
	set_caching(identity, name, "max_ratio", DIRTY_SHARE);
}

/* Write back what the handles that keep the mount busy have dirtied; a plain umount would have. */
static void sync_mount(const struct mount_identity *identity)
{
	_cleanup_close_ int fd = open_mount(identity, O_RDONLY);

	if (fd >= 0)
		syncfs(fd);
}

/* Unmount; what is in use is detached, and that is -EBUSY. */
static int unmount(const struct mount_identity *identity, struct imgfmt_error *reterr)
{
	int r;

	r = unmount_identity(identity, false, reterr);
	if (r != -EBUSY)
		return r;
	sync_mount(identity);
	r = unmount_identity(identity, true, reterr);
	return r < 0 ? r : -EBUSY;
}

bool helper_remove_dead_mount(const struct mount_identity *identity)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	struct imgfmt_error why;

	if (mountinfo_find_identity(identity, &entry) < 0)
		return false;
	if (unmount_identity(identity, true, &why) < 0)
		log_error("%s: the mount is dead but cannot be removed: %s", entry.target,
			  why.text);
	return true;
}

void helper_work(int fd, const struct mount_identity *identity, const char *name)
{
	struct imgfmt_error why = { "" };
	struct message message, answer;

	channel_tell(fd, MESSAGE_READY, 0);
	tune(identity, name);
	while (channel_receive(fd, &message) == 1) {
		answer = (struct message){ .type = MESSAGE_SYNCED };
		if (message.type == MESSAGE_CORRECT) {
			answer.type = MESSAGE_CORRECTED;
			answer.value = correct(identity, &message);
		} else if (message.type == MESSAGE_UNMOUNT) {
			answer.type = MESSAGE_UNMOUNTED;
			answer.value = unmount(identity, &why);
			snprintf(answer.text, sizeof(answer.text), "%s", why.text);
		} else {
			/* all of it: a mount that is detached cannot be named any more */
			sync();
		}
		channel_send(fd, &answer);
	}
}
