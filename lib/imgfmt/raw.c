/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Raw images: the file is the disk. Every guest byte lies at its own offset; holes of the file are
 * found by the core, which asks the host file.
 */
#include "drivers.h"
#include "image.h"

#include <string.h>

static int raw_probe(const struct imgfmt_sample *sample)
{
	(void)sample;
	/* Anything can be a raw disk: surer than not at all, less sure than anybody else. */
	return 1;
}

static int raw_open(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		    struct imgfmt_error *reterr)
{
	uint64_t size;
	int r;

	(void)options;
	r = hostfile_size(image->file, &size);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot find out the size: %s", strerror(-r));
	image->size = size;
	return 0;
}

static int raw_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		   struct driver_extent *ret)
{
	*ret = (struct driver_extent){
		.kind = DRIVER_DATA,
		.length = length,
		.file = image->file,
		.host_offset = guest_offset,
	};
	return 0;
}

static int raw_write_begin(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
			   struct driver_write *ret)
{
	*ret = (struct driver_write){
		.guest_offset = guest_offset,
		.length = length,
		.file = image->file,
		.host_offset = guest_offset,
	};
	return 0;
}

static int raw_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		    enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	bool punch = mode == IMGFMT_ZERO_DISCARD && !image->keep_space;
	int r = hostfile_zero(image->file, guest_offset, length, punch);

	if (r < 0)
		return r;
	*ret_length = length;
	return 0;
}

static int raw_truncate(struct imgfmt_image *image, uint64_t size)
{
	int r = hostfile_truncate(image->file, size);

	if (r < 0)
		return r;
	image->size = size;
	return 0;
}

const struct imgfmt_driver imgfmt_raw_driver = {
	.name = "raw",
	.description = "plain bytes, or a block device",
	.probe = raw_probe,
	.open = raw_open,
	.map = raw_map,
	.write_begin = raw_write_begin,
	.zero = raw_zero,
	.truncate = raw_truncate,
};
