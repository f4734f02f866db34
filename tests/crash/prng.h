/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random numbers that are the same for the same seed everywhere, so that whatever is found can be
 * found again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct prng {
	uint64_t state;
};

/* Scramble a number: near inputs give far outputs. */
static inline uint64_t prng_mix(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

static inline uint64_t prng_next(struct prng *prng)
{
	prng->state += UINT64_C(0x9e3779b97f4a7c15);
	return prng_mix(prng->state);
}

/* A number below @limit, which is not 0. */
static inline uint64_t prng_below(struct prng *prng, uint64_t limit)
{
	return prng_next(prng) % limit;
}

static inline bool prng_chance(struct prng *prng, unsigned int percent)
{
	return prng_below(prng, 100) < percent;
}

/* A generator for the @nth part of something, the same whatever the other parts took. */
static inline struct prng prng_fork(uint64_t seed, uint64_t nth)
{
	return (struct prng){ prng_mix(prng_mix(seed) ^ nth) };
}
