/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a seed stands for: data that oracle.py makes too, byte for byte.
 *
 * Below 64 a seed selects where to begin in a ring of 4093 bytes of noise, which does not
 * compress; from 64 on, in a ring of 61 bytes, which does; from 128 on it means zeroes. As the
 * rings are of prime length and data begins anew with each write, a byte in the wrong place shows.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RING_LENGTH       4093
#define SHORT_RING_LENGTH 61

/* The first @count bytes of the noise that @state begins. */
static inline void make_ring(uint8_t *ring, size_t count, uint32_t state)
{
	for (size_t i = 0; i < count; i++) {
		state = state * UINT32_C(1664525) + UINT32_C(1013904223);
		ring[i] = (uint8_t)(state >> 24);
	}
}

static inline void fill_data(uint8_t *bytes, size_t count, uint64_t seed)
{
	uint8_t ring[RING_LENGTH];
	size_t length = seed < 64 ? RING_LENGTH : SHORT_RING_LENGTH;
	size_t at = (size_t)(seed % 64) * 997 % length;

	if (seed >= 128) {
		memset(bytes, 0, count);
		return;
	}
	make_ring(ring, length, 1);
	for (size_t i = 0; i < count; i++) {
		bytes[i] = ring[at];
		at = at + 1 == length ? 0 : at + 1;
	}
}
