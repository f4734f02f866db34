/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rounding offsets and lengths to powers of two.
 *
 * align_up() is for values that were checked before; it asserts that the result still fits.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

static inline bool is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
	assert(is_power_of_two(alignment));
	return (value & (alignment - 1)) == 0;
}

static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
	assert(is_power_of_two(alignment));
	return value & ~(alignment - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
	assert(is_power_of_two(alignment));
	assert(value <= UINT64_MAX - (alignment - 1));
	return (value + alignment - 1) & ~(alignment - 1);
}

/* How many units of 2^bits bytes @length takes, the last one perhaps in part. */
static inline uint64_t units_of(uint64_t length, unsigned int bits)
{
	return (length >> bits) + ((length & ((UINT64_C(1) << bits) - 1)) != 0);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}
