/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest I/O for callers inside the core that hold image->use already, shared and inside a grace
 * period, or exclusively. Ranges lie inside the disk.
 */
#pragma once

#include "image.h"

int read_range(struct imgfmt_image *image, void *buffer, size_t count, uint64_t guest_offset);

int zero_range(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       enum imgfmt_zero_mode mode);
