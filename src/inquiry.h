/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking an export who is behind it, for --unmount.
 */
#pragma once

#include "identity.h"
#include "mountinfo.h"

/* How long another user's export may take to answer, in s. */
#define INQUIRY_TIMEOUT 10

/*
 * Ask the export of @entry, which @path leads to. What it says is what its server likes to say.
 *
 * Waits for the answer of an export of our own for as long as it takes. Another user may have
 * mounted what never answers: that is -ETIMEDOUT. Returns 0, -ENOTCONN where no server is there any
 * more, -ENOENT where the path leads to something else by now, or another negative errno.
 */
int inquire(const struct mount_entry *entry, struct identity *ret);
