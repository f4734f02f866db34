/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unmounting, with whatever right we have.
 */
#pragma once

#include "imgfmt.h"
#include "mountinfo.h"

#include <stdbool.h>

/*
 * Unmount the uppermost mount at the absolute path @path; @lazy detaches it though it is in use.
 * As ourselves where that is permitted, otherwise through fusermount3. Waits until the kernel has
 * written everything back to the server, so it must not be called by a thread that serves.
 *
 * Returns 0, -EBUSY where it is in use, or another negative errno, with the reason in @reterr.
 */
int unmount_path(const char *path, bool lazy, struct imgfmt_error *reterr);

/*
 * The same for one mount, wherever it is by now: its path may have been renamed. Where it is gone,
 * that is 0; where another mount lies over it, -EEXIST.
 */
int unmount_identity(const struct mount_identity *identity, bool lazy, struct imgfmt_error *reterr);
