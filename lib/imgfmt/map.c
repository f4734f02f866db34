/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a guest range to what stores it, through the whole backing chain. Reading, block status
 * and zeroing all ask here, so that they cannot disagree.
 */
#include "image.h"

#include "align.h"
#include "lock.h"
#include "overflow.h"

#include <errno.h>

static void set_zero(struct map_extent *ret, uint64_t length)
{
	ret->image = NULL;
	ret->extent = (struct driver_extent){ .kind = DRIVER_ZERO, .length = length };
}

/* The images below the top are read-only: they need no lock, and no grace period. */
int map_range(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	      struct map_extent *ret)
{
	struct map_extent found = { .unallocated = false };
	struct imgfmt_image *top = image;

	for (;;) {
		int r;

		/* A backing file that is shorter than what lies over it ends in zeroes. */
		if (guest_offset >= image->size) {
			set_zero(&found, length);
			break;
		}
		length = min_u64(length, image->size - guest_offset);
		r = driver_map(image, guest_offset, length, &found.extent);
		if (r < 0)
			return r;
		length = found.extent.length;
		if (found.extent.kind == DRIVER_ZERO) {
			set_zero(&found, length);
			break;
		}
		if (found.extent.kind != DRIVER_UNALLOCATED) {
			found.image = image;
			break;
		}
		if (image == top)
			found.unallocated = true;
		if (!image->backing) {
			set_zero(&found, length);
			break;
		}
		image = image->backing;
	}
	*ret = found;
	return 0;
}

int imgfmt_status(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		  bool *ret_data, uint64_t *ret_length)
{
	SHARED(&image->use);
	struct map_extent found;
	uint64_t epoch;
	int r;

	if (length == 0 || !range_fits(guest_offset, length, image->size))
		return -EINVAL;
	epoch = grace_enter(&image->grace);
	r = map_range(image, guest_offset, length, &found);
	if (r == 0 && found.image && found.extent.kind == DRIVER_DATA) {
		/* Allocated clusters may lie over holes of the host file: preallocation. */
		r = hostfile_status(found.extent.file, found.extent.host_offset,
				    found.extent.length, ret_data, ret_length);
	} else if (r == 0) {
		*ret_data = found.image != NULL;
		*ret_length = found.extent.length;
	}
	grace_leave(&image->grace, epoch);
	return r;
}
