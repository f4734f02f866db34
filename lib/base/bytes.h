/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers in byte buffers, big-endian as image formats keep them, at any alignment.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const void *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return be16toh(value);
}

static inline uint32_t get_be32(const void *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

static inline uint64_t get_be64(const void *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static inline void put_be16(void *bytes, uint16_t value)
{
	value = htobe16(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void put_be32(void *bytes, uint32_t value)
{
	value = htobe32(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void put_be64(void *bytes, uint64_t value)
{
	value = htobe64(value);
	memcpy(bytes, &value, sizeof(value));
}

/*
 * Is every byte zero? The comparison of the buffer with itself, shifted, runs at the speed of
 * memcmp.
 */
static inline bool all_zero(const void *bytes, size_t count)
{
	const unsigned char *p = bytes;

	return count == 0 || (p[0] == 0 && memcmp(p, p + 1, count - 1) == 0);
}
