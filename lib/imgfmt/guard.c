/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must not be written to a disk that was only guessed to be raw; see guard.h. */
#include "guard.h"

#include "align.h"
#include "lock.h"

#include <errno.h>
#include <string.h>

uint64_t imgfmt_guarded(const struct imgfmt_image *image)
{
	return image->detected && image->driver == imgfmt_find_driver("raw") ? IMGFMT_SAMPLE_SIZE :
									       0;
}

pthread_mutex_t *guard_lock(struct imgfmt_image *image, uint64_t guest_offset)
{
	if (guest_offset >= imgfmt_guarded(image))
		return NULL;
	mutex_lock(&image->head);
	return &image->head;
}

int guard_check(struct imgfmt_image *image, const void *buffer, uint64_t length,
		uint64_t guest_offset)
{
	size_t within = (size_t)min_u64(length, IMGFMT_SAMPLE_SIZE - guest_offset);
	struct imgfmt_sample sample;
	int r;

	r = imgfmt_take_sample(image->file, &sample);
	if (r < 0)
		return r;
	if (buffer)
		memcpy(sample.head + guest_offset, buffer, within);
	else
		memset(sample.head + guest_offset, 0, within);
	return imgfmt_probe(&sample) == image->driver ? 0 : -EPERM;
}
