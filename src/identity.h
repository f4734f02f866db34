/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How an export says which process serves it: an ioctl(2) on its file, asked by --unmount, which
 * has to wait for the end of that process.
 */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

struct identity {
	uint32_t version;       /* IDENTITY_VERSION */
	int32_t pid;            /* the server's, as its own PID namespace numbers it */
	uint64_t pid_namespace; /* the inode number of that namespace */
};

#define IDENTITY_VERSION UINT32_C(1)
#define IDENTITY_IOCTL   _IOR('Q', 0x1f, struct identity)

/* The inode number of our PID namespace, or 0 where it cannot be told. */
uint64_t identity_own_namespace(void);
