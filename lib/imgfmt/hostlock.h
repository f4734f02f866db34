/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's image locks on a descriptor. Private to hostfile.c.
 */
#pragma once

#include "hostfile.h"

/* See hostfile_lock(). What was taken is released again on failure, and when @fd is closed. */
int hostlock_take(int fd, enum hostfile_role role, struct imgfmt_error *reterr);
