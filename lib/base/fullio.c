/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Positioned reads and writes that do the whole count; see fullio.h. */
#include "fullio.h"

#include <errno.h>
#include <unistd.h>

ssize_t pread_full(int fd, void *buffer, size_t count, uint64_t offset)
{
	char *bytes = buffer;
	size_t done = 0;

	while (done < count) {
		ssize_t n = pread(fd, bytes + done, count - done, (off_t)(offset + done));

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int pwrite_full(int fd, const void *buffer, size_t count, uint64_t offset)
{
	const char *bytes = buffer;
	size_t done = 0;

	while (done < count) {
		ssize_t n = pwrite(fd, bytes + done, count - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int pwritev_full(int fd, struct iovec *iov, int iov_count, uint64_t offset)
{
	while (iov_count > 0) {
		ssize_t n;

		if (iov->iov_len == 0) {
			iov++;
			iov_count--;
			continue;
		}
		n = pwritev(fd, iov, iov_count, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		offset += (uint64_t)n;
		while (iov_count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			iov_count--;
		}
		if (iov_count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}
