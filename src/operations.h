/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The requests of the kernel, answered from a struct export_inode: what libfuse calls, and nothing
 * else. The export is the userdata of the session.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

/*
 * The largest write and read that we ask the kernel for. Reading ahead, the kernel splits a window
 * into several reads, which are answered in parallel; and each thread has a buffer of this size.
 */
#define OPERATIONS_MAX_WRITE (1U << 20)
#define OPERATIONS_MAX_READ  (1U << 18)

extern const struct fuse_lowlevel_ops operations;
