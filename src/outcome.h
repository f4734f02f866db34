/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How an export has ended, for those who wait for that and are not its parent: a file in memory,
 * which the supervisor holds and others open as /proc/PID/fd/N while it still runs.
 */
#pragma once

#include "log.h"

#include <stdint.h>
#include <sys/types.h>

struct outcome {
	uint32_t version;           /* OUTCOME_VERSION, once there is an outcome */
	int32_t result;             /* 0 where the image is final, or -errno */
	char text[LOG_MESSAGE_MAX]; /* with -errno: what had been logged last */
};

#define OUTCOME_VERSION UINT32_C(1)

/* Create one without an outcome. Returns its descriptor, or -1 as open(2) does. */
int outcome_create(void);

void outcome_write(int fd, int result, const char *text);

/*
 * Open the one of the process @pid of @user, which has it as @fd. Who said so is not believed: what
 * is not a file in memory of that user is not opened, but -EBADF. Returns a descriptor or -errno:
 * -EACCES where that process may not be looked into.
 */
int outcome_open(pid_t pid, int fd, uid_t user);

/* Read it. Returns 0, or -ENODATA: whoever should have written it has been killed. */
int outcome_read(int fd, struct outcome *ret);
