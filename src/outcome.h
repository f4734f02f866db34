/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which processes an export has, and how it has ended, for those who wait for that and are not its
 * parent: a file in memory, which its processes hold and others open as /proc/PID/fd/N while they
 * still run. The supervisor writes it, and its heirs; the server, which an image may have taken
 * over, can only read it.
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

struct family {
	uint32_t version;                   /* FAMILY_VERSION, once they are known */
	int32_t supervisor, helper, server; /* as their PID namespace numbers them */
	uint64_t pid_namespace;             /* which that is, as in identity.h */
	uint64_t device;                    /* of the file system that they serve */
};

#define FAMILY_VERSION UINT32_C(1)

/* Create one without an outcome. Returns its descriptor, or -1 as open(2) does. */
int outcome_create(void);

/* From now on @fd can only be read in this process; where that cannot be had it is closed. */
void outcome_protect(int fd);

void outcome_write(int fd, int result, const char *text);
void outcome_write_family(int fd, const struct family *family);

/*
 * Open the one of the process @pid of @user, which has it as @fd. Who said so is not believed: what
 * is not a file in memory of that user, or can be written by a server, is not opened, but -EBADF.
 * Returns a descriptor or -errno: -EACCES where that process may not be looked into, -ENOENT where
 * it is not there, or has not this.
 */
int outcome_open(pid_t pid, int fd, uid_t user);

/* Read who is concerned. Returns 0, or -ENODATA. */
int outcome_read_family(int fd, struct family *ret);

/* Read it. Returns 0, or -ENODATA: whoever should have written it has been killed. */
int outcome_read(int fd, struct outcome *ret);
