/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Positioned reads and writes that do the whole count: interrupted and short calls go on.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * Read @count bytes at @offset. Returns how many there were before the end of the file, or -errno.
 */
ssize_t pread_full(int fd, void *buffer, size_t count, uint64_t offset);

/* Write @count bytes at @offset. Returns 0 or -errno; after an error some may have been written. */
int pwrite_full(int fd, const void *buffer, size_t count, uint64_t offset);

/*
 * Write the buffers of @iov, one behind the other, at @offset. Returns 0 or -errno. The array is
 * used up: its members are changed.
 */
int pwritev_full(int fd, struct iovec *iov, int iov_count, uint64_t offset);
