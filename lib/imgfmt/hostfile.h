/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file or block device of the host: the only place that does I/O on one.
 *
 * Safe to use from many threads. Offsets and lengths are in bytes of the file. Functions return
 * 0 or -errno unless they say otherwise. A failed sync is remembered: the kernel forgets
 * pages that it could not write, so a later sync would answer with a success that is a lie.
 */
#pragma once

#include "imgfmt.h"

#include <sys/uio.h>

struct hostfile;

/*
 * Wrap @fd, a regular file or a block device (-EINVAL otherwise), which becomes the hostfile's,
 * also when this fails. @writable says that the descriptor may be written.
 */
int hostfile_create(int fd, bool writable, struct hostfile **ret);

/* Close the descriptor, which releases the locks. NULL is allowed. */
void hostfile_destroy(struct hostfile *file);

enum hostfile_role {
	HOSTFILE_READER, /* reads, and nobody else may write */
	HOSTFILE_WRITER, /* reads, writes and resizes, and nobody else may write */
};

/*
 * Take QEMU's image locks (open file description locks of one byte each, as block/file-posix.c
 * does), without waiting. Words in @reterr, and -EBUSY where another process stands in the way,
 * -ENOLCK where the file system has no such locks.
 */
int hostfile_lock(struct hostfile *file, enum hostfile_role role, struct imgfmt_error *reterr);

/* Where the file ends, in bytes. It may be growing. */
int hostfile_size(struct hostfile *file, uint64_t *ret);

/* What the file takes on the host's disk, in bytes; a block device: its size. */
int hostfile_allocated(struct hostfile *file, uint64_t *ret);

/* Identity, to find loops: two hostfiles of one file have the same. */
int hostfile_identity(struct hostfile *file, uint64_t *ret_device, uint64_t *ret_inode);

/* Read @count bytes; what lies beyond the end of the file reads as zeroes. */
int hostfile_read(struct hostfile *file, void *buffer, size_t count, uint64_t offset);

int hostfile_write(struct hostfile *file, const void *buffer, size_t count, uint64_t offset);

/* Write buffers one behind the other. Uses up the array, see pwritev_full(). */
int hostfile_writev(struct hostfile *file, struct iovec *iov, int iov_count, uint64_t offset);

/*
 * Make a range read as zeroes, within the file or beyond its end, which grows then. @punch: free
 * the space where the host can; otherwise keep it. Writes zeroes where the host can do neither.
 */
int hostfile_zero(struct hostfile *file, uint64_t offset, uint64_t length, bool punch);

/*
 * Give the space of a range that nobody needs back to the host. What it reads as afterwards is
 * not said, and it is no error where the host cannot do it.
 */
void hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length);

/* Make everything written before durable (fdatasync). An error is returned for ever after. */
int hostfile_sync(struct hostfile *file);

/* Set the size; new space reads as zeroes. -ENOTSUP for a block device, unless it has that size. */
int hostfile_truncate(struct hostfile *file, uint64_t size);

/* Make the file at least so long. The same for a block device: -ENOSPC where it is shorter. */
int hostfile_extend(struct hostfile *file, uint64_t size);

/*
 * Set *ret_data to whether @offset lies in data or a hole, and *ret_length to how far it goes on
 * like that, at most @length (which is not 0). Beyond the end there is a hole. A host that cannot
 * tell has only data.
 */
int hostfile_status(struct hostfile *file, uint64_t offset, uint64_t length, bool *ret_data,
		    uint64_t *ret_length);
