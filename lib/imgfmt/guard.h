/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guard of a disk that was only guessed to be raw: whoever writes to it, a guest perhaps, must
 * not be able to turn it into an image of another format, which could name files of the host.
 */
#pragma once

#include "image.h"

/*
 * If what is about to change at @guest_offset needs the guard: lock it, so that nobody else changes
 * the first sector meanwhile, and return the mutex, which the caller unlocks after the change. NULL
 * where no guard is needed. Comes after image->use.
 */
pthread_mutex_t *guard_lock(struct imgfmt_image *image, uint64_t guest_offset);

/*
 * -EPERM: with these bytes, zeroes where @buffer is NULL, the disk would be taken for an image of
 * another format.
 */
int guard_check(struct imgfmt_image *image, const void *buffer, uint64_t length,
		uint64_t guest_offset);
