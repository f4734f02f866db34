/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unmounting, with whatever right we have.
 */
#pragma once

#include "imgfmt.h"
#include "mountinfo.h"

#include <stdbool.h>

/*
 * Unmount one mount, wherever it is by now: its path may have been renamed. Root takes away what
 * other users have mounted over it. @lazy detaches it though it is in use. As ourselves where that
 * is permitted, otherwise through fusermount3. Waits until the kernel has written everything back
 * to the server, so it must not be called by a thread that serves.
 *
 * Returns 0, also where it is gone, -EBUSY where it is in use, -EEXIST where another mount lies
 * over it, or another negative errno, with the reason in @reterr.
 */
int unmount_identity(const struct mount_identity *identity, bool lazy, struct imgfmt_error *reterr);

/*
 * Detach what another user has mounted over an export at @path, where we may, and say so. No
 * imgfuse does that, and however it ends is nothing to whoever wants to see the export end. Returns
 * 0, or -errno as above: -ENOENT and -EEXIST where something else is there, or was meanwhile.
 */
int unmount_cover(const char *path, struct imgfmt_error *reterr);
