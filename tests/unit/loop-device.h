/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A loop device over a file of the test. It goes away with its last descriptor, also when the test
 * dies.
 */
#pragma once

#include "test.h"

#include <errno.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

/*
 * Returns a loop device over @backing with sectors of @sector_size; -1 with errno where there is
 * none.
 */
static inline int loop_over(int backing, uint32_t sector_size)
{
	struct loop_config config = {
		.fd = (uint32_t)backing,
		.block_size = sector_size,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR },
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), error = errno;

	while (control >= 0) {
		char path[32];
		int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

		snprintf(path, sizeof(path), "/dev/loop%d", number);
		fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			close(control);
			return fd;
		}
		error = errno;
		close(fd);
		/* Busy: somebody else was faster. */
		if (error != EBUSY) {
			close(control);
			break;
		}
	}
	errno = error;
	return -1;
}
