/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How an export says which processes it has: an ioctl(2) on its file, asked by --unmount, which has
 * to wait for their end. It is where to look for the outcome, and that says who they are.
 */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

struct identity {
	uint32_t version;   /* IDENTITY_VERSION */
	int32_t outcome_fd; /* the descriptor of the outcome in all of them */
	int32_t supervisor; /* process ids, as the PID namespace of the export numbers them */
	int32_t helper;
	int32_t server;
	uint32_t reserved;      /* 0 */
	uint64_t pid_namespace; /* the inode number of that namespace */
};

#define IDENTITY_VERSION UINT32_C(3)
#define IDENTITY_IOCTL   _IOR('Q', 0x1f, struct identity)

/* The inode number of our PID namespace, or 0 where it cannot be told. */
uint64_t identity_own_namespace(void);
