/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a guest range to what stores it, through the whole backing chain. Reading, block status,
 * the search for holes, and zeroing all ask here, so that they cannot disagree.
 */
#include "image.h"

#include "align.h"
#include "lock.h"
#include "overflow.h"

#include <errno.h>

/*
 * What a search for data or a hole may take: about a second. It is counted in entries of tables
 * that were looked at; to ask a driver takes as long as so many, and to ask the host.
 */
#define MAX_WORK     (UINT64_C(1) << 26)
#define WORK_TO_MAP  32
#define WORK_TO_HOST 256

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
		found.work += WORK_TO_MAP + found.extent.work;
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

/* Data of a host file, from one offset to another: a search asks the host once for all of it. */
struct host_run {
	struct hostfile *file;
	uint64_t start, end;
};

/* Allocated clusters may lie over holes of the host file: preallocation. */
static int host_status(const struct driver_extent *extent, struct host_run *known, bool *ret_data,
		       uint64_t *ret_length, uint64_t *work)
{
	uint64_t start = extent->host_offset, length;
	int r;

	if (extent->file != known->file || start < known->start || start >= known->end) {
		*work += WORK_TO_HOST;
		r = hostfile_status(extent->file, start, UINT64_MAX - start, ret_data, &length);
		if (r < 0)
			return r;
		if (!*ret_data) {
			*ret_length = min_u64(extent->length, length);
			return 0;
		}
		*known = (struct host_run){ extent->file, start, start + length };
	}
	*ret_data = true;
	*ret_length = min_u64(extent->length, known->end - start);
	return 0;
}

static int status(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		  struct host_run *known, bool *ret_data, uint64_t *ret_length, uint64_t *work)
{
	SHARED(&image->use);
	struct map_extent found;
	uint64_t epoch;
	int r;

	if (length == 0 || !range_fits(guest_offset, length, image->size))
		return -EINVAL;
	epoch = grace_enter(&image->grace);
	r = map_range(image, guest_offset, length, &found);
	if (r == 0) {
		*work += found.work;
		*ret_data = found.image != NULL;
		*ret_length = found.extent.length;
	}
	if (r == 0 && found.image && found.extent.kind == DRIVER_DATA)
		r = host_status(&found.extent, known, ret_data, ret_length, work);
	grace_leave(&image->grace, epoch);
	return r;
}

int imgfmt_status(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		  bool *ret_data, uint64_t *ret_length)
{
	struct host_run known = { .file = NULL };
	uint64_t work = 0;

	return status(image, guest_offset, length, &known, ret_data, ret_length, &work);
}

int imgfmt_seek(struct imgfmt_image *image, uint64_t guest_offset, enum imgfmt_wanted wanted,
		uint64_t *ret_offset)
{
	uint64_t size = image->size, length = size, work = 0;
	struct host_run known = { .file = NULL };

	if (guest_offset >= size)
		return -ENXIO;
	do {
		bool data;
		int r;

		/*
		 * No farther than the last answer led us to hope: the whole table of an image is
		 * not to be looked at again for each piece that the one below it is in.
		 */
		length = min_u64(2 * length, size - guest_offset);
		r = status(image, guest_offset, length, &known, &data, &length, &work);
		if (r < 0)
			return r;
		if (data == (wanted == IMGFMT_DATA)) {
			*ret_offset = guest_offset;
			return 0;
		}
		guest_offset += length;
	} while (guest_offset < size && work < MAX_WORK);
	if (wanted == IMGFMT_DATA && guest_offset >= size)
		return -ENXIO;
	/* What was not looked at may all be data; and where the disk ends there is a hole. */
	*ret_offset = wanted == IMGFMT_DATA ? guest_offset : size;
	return 0;
}
