/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arrays: how long a fixed one is, and growing one on the heap.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Make room for one more element of @element_size bytes in the array at *array, which holds
 * @length of *capacity. Doubles, so that appending is cheap. Returns 0, or -ENOMEM with
 * everything as it was.
 */
static inline int array_reserve_one(void *array, size_t length, size_t *capacity,
				    size_t element_size)
{
	void **pointer = array;
	size_t wanted;
	void *grown;

	if (length < *capacity)
		return 0;
	wanted = *capacity ? *capacity * 2 : 16;
	if (wanted > SIZE_MAX / element_size)
		return -ENOMEM;
	grown = realloc(*pointer, wanted * element_size);
	if (!grown)
		return -ENOMEM;
	*pointer = grown;
	*capacity = wanted;
	return 0;
}
