/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The --unmount verb.
 */
#pragma once

#include "imgfmt.h"

/*
 * End the export at @path and wait until its processes are gone: then its locks are free. Returns 0
 * where the image is final, or -errno with the reason in @reterr.
 */
int revert_export(const char *path, struct imgfmt_error *reterr);
