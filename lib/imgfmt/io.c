/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading, writing and zeroing guest ranges: the part that is the same for all formats.
 *
 * Every request holds image->use shared and is inside a grace period from before it asks where
 * bytes lie until it has moved them. Copy-on-write lives here, once: what a driver calls the head
 * and tail of new clusters is filled with what the guest reads there now.
 */
#include "guard.h"
#include "io.h"

#include "align.h"
#include "cleanup.h"
#include "lock.h"
#include "overflow.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static int read_extent(const struct map_extent *found, void *buffer, size_t count,
		       uint64_t guest_offset)
{
	if (!found->image) {
		memset(buffer, 0, count);
		return 0;
	}
	if (found->extent.kind == DRIVER_ENCODED)
		return driver_read_encoded(found->image, buffer, count, guest_offset);
	return hostfile_read(found->extent.file, buffer, count, found->extent.host_offset);
}

int read_range(struct imgfmt_image *image, void *buffer, size_t count, uint64_t guest_offset)
{
	uint8_t *bytes = buffer;

	while (count > 0) {
		struct map_extent found;
		size_t length;
		int r;

		r = map_range(image, guest_offset, count, &found);
		if (r < 0)
			return r;
		length = (size_t)found.extent.length;
		r = read_extent(&found, bytes, length, guest_offset);
		if (r == -EAGAIN)
			continue; /* written over in the meantime */
		if (r < 0)
			return r;
		bytes += length;
		guest_offset += length;
		count -= length;
	}
	return 0;
}

int imgfmt_read(struct imgfmt_image *image, void *buffer, size_t count, uint64_t guest_offset)
{
	SHARED(&image->use);
	uint64_t epoch;
	int r;

	if (image->describe_only)
		return -EACCES;
	if (!range_fits(guest_offset, count, image->size))
		return -EINVAL;
	epoch = grace_enter(&image->grace);
	r = read_range(image, buffer, count, guest_offset);
	grace_leave(&image->grace, epoch);
	return r;
}

/* ---- writing ---- */

/* Does the guest read zeroes in all of a range? What lies beyond the end of the disk counts. */
static int reads_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length, bool *ret)
{
	while (length > 0 && guest_offset < image->size) {
		uint64_t within = min_u64(length, image->size - guest_offset);
		struct map_extent found;
		int r = map_range(image, guest_offset, within, &found);

		if (r < 0)
			return r;
		if (found.image) {
			*ret = false;
			return 0;
		}
		guest_offset += found.extent.length;
		length -= found.extent.length;
	}
	*ret = true;
	return 0;
}

/* What is to be put into a part of new clusters that the request does not write. */
struct fill {
	uint8_t *bytes; /* NULL where nothing needs to be done */
	size_t count;
};

static void free_fill(struct fill *fill)
{
	free(fill->bytes);
}

/*
 * Get what the guest reads at a range of @length bytes. Nothing is needed where that is zeroes and
 * the new space is too. The last cluster may go beyond the end of the disk: zeroes there.
 */
static int prepare_fill(struct imgfmt_image *image, const struct driver_write *write,
			uint64_t guest_offset, uint64_t length, struct fill *ret)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	uint64_t within;
	int r;

	if (length == 0)
		return 0;
	if (write->fresh) {
		bool zero;

		r = reads_zero(image, guest_offset, length, &zero);
		if (r < 0 || zero)
			return r;
	}
	if (length > SIZE_MAX)
		return -ENOMEM;
	bytes = malloc((size_t)length);
	if (!bytes)
		return -ENOMEM;
	within = guest_offset < image->size ? min_u64(length, image->size - guest_offset) : 0;
	r = read_range(image, bytes, (size_t)within, guest_offset);
	if (r < 0)
		return r;
	memset(bytes + within, 0, (size_t)(length - within));
	ret->count = (size_t)length;
	ret->bytes = steal_ptr(bytes);
	return 0;
}

/* Write head, data and tail, which lie one behind the other in the host file, with one call. */
static int put_filled(const struct driver_write *write, const struct fill *head, const void *buffer,
		      const struct fill *tail)
{
	struct iovec iov[3];
	int count = 0;

	if (head->bytes)
		iov[count++] = (struct iovec){ head->bytes, head->count };
	/* iovec serves reading too, hence its lack of a const */
	iov[count++] = (struct iovec){ (void *)(uintptr_t)buffer, (size_t)write->length };
	if (tail->bytes)
		iov[count++] = (struct iovec){ tail->bytes, tail->count };
	return hostfile_writev(write->file, iov, count, write->host_offset - head->count);
}

/* The same for zeroes. */
static int put_zeroes(const struct driver_write *write, const struct fill *head, bool punch,
		      const struct fill *tail)
{
	int r = 0;

	if (!write->fresh)
		r = hostfile_zero(write->file, write->host_offset, write->length, punch);
	else
		r = hostfile_extend(write->file, write->host_offset + write->length);
	if (r == 0 && head->bytes)
		r = hostfile_write(write->file, head->bytes, head->count,
				   write->host_offset - head->count);
	if (r == 0 && tail->bytes)
		r = hostfile_write(write->file, tail->bytes, tail->count,
				   write->host_offset + write->length);
	return r;
}

static int put_data(struct imgfmt_image *image, const struct driver_write *write,
		    const void *buffer, bool punch)
{
	CLEANUP(free_fill) struct fill head = { 0 }, tail = { 0 };
	int r;

	r = prepare_fill(image, write, write->guest_offset - write->head, write->head, &head);
	if (r < 0)
		return r;
	r = prepare_fill(image, write, write->guest_offset + write->length, write->tail, &tail);
	if (r < 0)
		return r;
	if (!buffer)
		return put_zeroes(write, &head, punch, &tail);
	return put_filled(write, &head, buffer, &tail);
}

/*
 * Write a range, or zeroes over it where @buffer is NULL; @punch may then free host space. Needs
 * image->use held, and a grace period entered.
 */
static int write_range(struct imgfmt_image *image, const void *buffer, uint64_t length,
		       uint64_t guest_offset, bool punch)
{
	const uint8_t *bytes = buffer;

	while (length > 0) {
		struct driver_write write;
		int r;

		r = driver_write_begin(image, guest_offset, length, &write);
		if (r < 0)
			return r;
		r = put_data(image, &write, bytes, punch);
		if (write.allocation)
			r = driver_write_end(image, &write, r);
		if (r < 0)
			return r;
		if (bytes)
			bytes += write.length;
		guest_offset += write.length;
		length -= write.length;
	}
	return 0;
}

int imgfmt_write(struct imgfmt_image *image, const void *buffer, size_t count,
		 uint64_t guest_offset)
{
	SHARED(&image->use);
	CLEANUP(mutex_unlock_pointee) pthread_mutex_t *guard = NULL;
	uint64_t epoch;
	int r;

	if (image->read_only || image->damaged)
		return -EROFS;
	if (!range_fits(guest_offset, count, image->size))
		return -EINVAL;
	epoch = grace_enter(&image->grace);
	guard = guard_lock(image, guest_offset);
	r = guard ? guard_check(image, buffer, count, guest_offset) : 0;
	if (r == 0)
		r = write_range(image, buffer, count, guest_offset, false);
	grace_leave(&image->grace, epoch);
	return r;
}

/* ---- zeroing ---- */

/*
 * What is done at most before others get a turn: whoever wants to change the size, and the space of
 * what is freed. A piece, which is what one answer of the driver is for, counts for one, and for
 * one more for each so many bytes: a driver may have to write them.
 */
#define MAX_PIECES  1024
#define PIECE_BYTES (UINT64_C(256) << 10)

/* No piece goes beyond a multiple of this, which is one of all cluster sizes. */
#define PIECE_BORDER (MAX_PIECES * PIECE_BYTES)

/*
 * How much of a range, from its start on, needs nothing done to it: it reads as zeroes and takes
 * no space, or may keep it.
 */
static int skip_zeroes(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		       enum imgfmt_zero_mode mode, uint64_t *ret)
{
	struct map_extent found;
	int r;

	r = map_range(image, guest_offset, length, &found);
	if (r < 0)
		return r;
	*ret = 0;
	if (!found.image && (found.unallocated || mode == IMGFMT_ZERO_KEEP))
		*ret = found.extent.length;
	return 0;
}

/*
 * Zero a piece of a range, from its start on: what one call of the driver can, or up to a granule.
 */
static int zero_piece(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		      enum imgfmt_zero_mode mode, uint64_t *ret)
{
	uint64_t into = guest_offset % image->granule;
	uint64_t whole =
		guest_offset + length == image->size ? length : length - length % image->granule;
	int r;

	*ret = 0;
	if (into == 0 && whole > 0) {
		r = driver_zero(image, guest_offset, whole, mode, ret);
		if (r < 0 || *ret > 0)
			return r;
	}
	*ret = min_u64(length, image->granule - into);
	return write_range(image, NULL, *ret, guest_offset,
			   mode == IMGFMT_ZERO_DISCARD && !image->keep_space);
}

/* Zero a range piece by piece, as long as @budget lasts; *ret says how far that came. */
static int zero_pieces(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		       enum imgfmt_zero_mode mode, uint64_t budget, uint64_t *ret)
{
	uint64_t done = 0;

	while (done < length && budget > 0) {
		uint64_t at = guest_offset + done, piece;
		uint64_t border = min_u64(length - done, PIECE_BORDER - at % PIECE_BORDER);
		uint64_t cost = 1;
		int r;

		r = skip_zeroes(image, at, length - done, mode, &piece);
		if (r == 0 && piece == 0) {
			r = zero_piece(image, at, border, mode, &piece);
			cost += piece / PIECE_BYTES;
		}
		if (r < 0)
			return r;
		done += piece;
		budget -= min_u64(budget, cost);
	}
	*ret = done;
	return 0;
}

int zero_range(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       enum imgfmt_zero_mode mode)
{
	uint64_t done;

	return zero_pieces(image, guest_offset, length, mode, UINT64_MAX, &done);
}

static int zero_checked(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
			enum imgfmt_zero_mode mode, uint64_t budget, uint64_t *ret)
{
	SHARED(&image->use);
	CLEANUP(mutex_unlock_pointee) pthread_mutex_t *guard = NULL;
	uint64_t epoch;
	int r;

	if (image->read_only || image->damaged)
		return -EROFS;
	if (!range_fits(guest_offset, length, image->size))
		return -EINVAL;
	epoch = grace_enter(&image->grace);
	guard = guard_lock(image, guest_offset);
	r = guard ? guard_check(image, NULL, length, guest_offset) : 0;
	if (r == 0)
		r = zero_pieces(image, guest_offset, length, mode, budget, ret);
	grace_leave(&image->grace, epoch);
	return r;
}

int imgfmt_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		enum imgfmt_zero_mode mode)
{
	uint64_t done;

	return zero_checked(image, guest_offset, length, mode, UINT64_MAX, &done);
}

int imgfmt_zero_some(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		     enum imgfmt_zero_mode mode, uint64_t *ret_length)
{
	return zero_checked(image, guest_offset, length, mode, MAX_PIECES, ret_length);
}
