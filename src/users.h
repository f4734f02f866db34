/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who uses a mount, as far as one can tell: processes that one may look into, and loop devices.
 */
#pragma once

#include "mountinfo.h"

#include <stddef.h>

/*
 * Write to @text, of @size bytes, who uses the mount of @entry, as "dd (1234), /dev/loop0". Leaves
 * it empty where nobody is found: then it is somebody whom one may not see, or the kernel. Asks the
 * mounted file system nothing.
 */
void users_describe(const struct mount_entry *entry, char *text, size_t size);
