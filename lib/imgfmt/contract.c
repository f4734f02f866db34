/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only caller of driver functions, but for probe, which is pure. Each wrapper checks what the
 * core asks and what the driver answers, and says what a missing function means. A check that fails
 * is a mistake of ours, so it is an assert.
 */
#include "image.h"

#include "overflow.h"

#include <assert.h>
#include <errno.h>

static void check_range(const struct imgfmt_image *image, uint64_t guest_offset, uint64_t length)
{
	assert(length > 0);
	assert(range_fits(guest_offset, length, image->size));
	(void)image;
	(void)guest_offset;
	(void)length;
}

int driver_open(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		struct imgfmt_error *reterr)
{
	int r;

	image->granule = image->unit = 1;
	r = image->driver->open(image, options, reterr);
	assert(r <= 0);
	assert(r < 0 || (image->granule > 0 && image->unit % image->granule == 0));
	return r;
}

void driver_close(struct imgfmt_image *image)
{
	if (image->driver->close)
		image->driver->close(image);
}

int driver_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       struct driver_extent *ret)
{
	int r;

	check_range(image, guest_offset, length);
	r = image->driver->map(image, guest_offset, length, ret);
	assert(r <= 0);
	assert(r < 0 || (ret->length > 0 && ret->length <= length));
	assert(r < 0 || ret->kind != DRIVER_DATA || ret->file);
	return r;
}

int driver_read_encoded(struct imgfmt_image *image, void *buffer, size_t count,
			uint64_t guest_offset)
{
	check_range(image, guest_offset, count);
	assert(image->driver->read_encoded);
	return image->driver->read_encoded(image, buffer, count, guest_offset);
}

int driver_write_begin(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		       struct driver_write *ret)
{
	int r;

	check_range(image, guest_offset, length);
	if (!image->driver->write_begin)
		return -EROFS;
	*ret = (struct driver_write){ 0 };
	r = image->driver->write_begin(image, guest_offset, length, ret);
	assert(r <= 0);
	assert(r < 0 || (ret->guest_offset == guest_offset && ret->file));
	assert(r < 0 || (ret->length > 0 && ret->length <= length));
	assert(r < 0 || ret->allocation || (ret->head == 0 && ret->tail == 0));
	assert(r < 0 || (ret->head <= guest_offset && ret->head <= ret->host_offset));
	return r;
}

int driver_write_end(struct imgfmt_image *image, struct driver_write *write, int result)
{
	int r;

	assert(write->allocation);
	assert(result <= 0);
	r = image->driver->write_end(image, write, result);
	assert(r <= 0 && (result == 0 || r < 0));
	return r;
}

int driver_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	int r;

	check_range(image, guest_offset, length);
	assert(guest_offset % image->granule == 0);
	assert(length % image->granule == 0 || guest_offset + length == image->size);
	if (!image->driver->zero) {
		*ret_length = 0;
		return 0;
	}
	r = image->driver->zero(image, guest_offset, length, mode, ret_length);
	assert(r <= 0);
	assert(r < 0 || *ret_length <= length);
	return r;
}

int driver_writeback(struct imgfmt_image *image)
{
	return image->driver->writeback ? image->driver->writeback(image) : 0;
}

int driver_flush(struct imgfmt_image *image)
{
	return image->driver->flush ? image->driver->flush(image) : hostfile_sync(image->file);
}

int driver_truncate(struct imgfmt_image *image, uint64_t size)
{
	int r;

	if (!image->driver->truncate)
		return -ENOTSUP;
	r = image->driver->truncate(image, size);
	assert(r < 0 || image->size >= size);
	return r;
}

int driver_get_snapshot(struct imgfmt_image *image, unsigned int index, struct imgfmt_snapshot *ret)
{
	return image->driver->get_snapshot ? image->driver->get_snapshot(image, index, ret) :
					     -ENOENT;
}

void driver_describe(struct imgfmt_image *image, struct imgfmt_info *info)
{
	if (image->driver->describe)
		image->driver->describe(image, info);
}
