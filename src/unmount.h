/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unmounting, with whatever right we have.
 */
#pragma once

#include "imgfmt.h"
#include "mountinfo.h"

#include <stdbool.h>

/*
 * Unmount one mount, wherever it is by now: its path may have been renamed. @lazy detaches it
 * though it is in use. As ourselves where that is permitted, otherwise through fusermount3. Waits
 * until the kernel has written everything back to the server, so it must not be called by a thread
 * that serves.
 *
 * Returns 0, also where it is gone, -EBUSY where it is in use, -EEXIST where another mount lies
 * over it, or another negative errno, with the reason in @reterr.
 */
int unmount_identity(const struct mount_identity *identity, bool lazy, struct imgfmt_error *reterr);
