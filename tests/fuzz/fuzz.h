/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzz targets share: the function that each of them is, taking an input to pieces, and
 * saying that something is not as it must be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The target: does what @data says, and ends the program where a promise is broken. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* End the program unless a promise holds, in every build, and in a way that a fuzzer notices. */
#define MUST(condition)                                                                   \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                              \
			abort();                                                          \
		}                                                                         \
	} while (0)

/* What is left of an input. Behind its end there are zeroes. */
struct input {
	const uint8_t *bytes;
	size_t count;
};

/* Take up to @count bytes; *ret_count is how many there were. */
static inline const uint8_t *input_take(struct input *input, size_t count, size_t *ret_count)
{
	const uint8_t *bytes = input->bytes;

	*ret_count = count < input->count ? count : input->count;
	input->bytes += *ret_count;
	input->count -= *ret_count;
	return bytes;
}

/* Take a little-endian number of @bytes bytes. */
static inline uint64_t input_number(struct input *input, unsigned int bytes)
{
	uint64_t value = 0;
	size_t count;
	const uint8_t *taken = input_take(input, bytes, &count);

	for (size_t i = 0; i < count; i++)
		value |= (uint64_t)taken[i] << (8 * i);
	return value;
}
