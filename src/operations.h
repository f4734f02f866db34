/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The requests of the kernel, answered from a struct export_inode: what libfuse calls, and nothing
 * else. The export is the userdata of the session.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

/* The largest read and write that we ask the kernel for. */
#define OPERATIONS_MAX_REQUEST (1U << 20)

extern const struct fuse_lowlevel_ops operations;
