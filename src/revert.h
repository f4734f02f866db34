/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The --unmount verb.
 */
#pragma once

#include "imgfmt.h"

#include <stdbool.h>

/*
 * End the export at @path and wait until its processes are gone: then its locks are free. What is
 * in use is left alone, or, if @lazy, detached from its path, and its users are waited for. Returns
 * 0 where the image is final, or -errno with the reason in @reterr.
 */
int revert_export(const char *path, bool lazy, struct imgfmt_error *reterr);
