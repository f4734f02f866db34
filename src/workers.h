/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads that take the kernel's requests and answer them.
 *
 * All of them, and all that they need, are there before the first takes a request: none is created
 * later, and nothing is opened. (libfuse's own loop creates threads as it goes, and opens /dev/fuse
 * for each.) They serve until the mount is gone.
 */
#pragma once

struct fuse_session;
struct workers;

/*
 * Open for each of @count threads an end of @fuse's connection of its own, where the kernel has
 * that; @fuse is mounted. The last of the threads that ends writes to the event @ended_fd. Returns
 * 0 or -errno.
 */
int workers_create(struct fuse_session *fuse, unsigned int count, int ended_fd,
		   struct workers **ret);

/*
 * Create the threads. When this returns they all wait for workers_release(), and need nothing new
 * any more. Signals are blocked in them as they are in the caller, but for SIGUSR1, which
 * interrupts. Returns 0, or -errno when there is no thread; then @fuse can only be destroyed.
 */
int workers_start(struct workers *workers);

/* Let them serve. */
void workers_release(struct workers *workers);

/* Tell them to end though the mount is there. One that is about to wait may miss it: call again. */
void workers_stop(struct workers *workers);

/*
 * Wait for the threads, if there are any, which have been released or stopped, and close their ends
 * of the connection. Returns why they ended: 0 for the end of the mount or workers_stop().
 */
int workers_destroy(struct workers *workers);
