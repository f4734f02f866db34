/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arithmetic on numbers from strangers: each function says whether the true result fits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Store a + b in *ret. Returns false, and leaves *ret alone, where the sum does not fit. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

/* Store a * b in *ret. Returns false, and leaves *ret alone, where the product does not fit. */
static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* Do @length bytes from @offset lie inside an object of @size bytes? */
static inline bool range_fits(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

/* Do two ranges share a byte? An empty range shares none. Neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
	return a_length != 0 && b_length != 0 && a < b + b_length && b < a + a_length;
}
