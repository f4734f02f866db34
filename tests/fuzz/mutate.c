/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a fuzzer changes the inputs that disk.h describes: as it does any bytes, or by one of the
 * numbers that matter: an entry of a table, a field of the header, or an operation.
 */
#include "disk.h"

#include "../crash/prng.h"

#include "align.h"
#include "bytes.h"

/* libFuzzer's. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

#define MAX_CHUNKS   256u
#define CHUNK_HEADER 8u
#define WORD         8u

/* Where things lie in an input. */
struct places {
	size_t operations, operation_count;
	struct {
		size_t at, length;
		uint64_t offset; /* in the image */
	} chunks[MAX_CHUNKS];
	size_t chunk_count;
};

static void find_places(const uint8_t *data, size_t size, struct places *ret)
{
	struct input input = { data, size };
	size_t length;

	*ret = (struct places){ .operations = 2 };
	input_number(&input, 1);
	length = (size_t)input_number(&input, 1) * DISK_OPERATION_SIZE;
	input_take(&input, length, &length);
	ret->operation_count = length / DISK_OPERATION_SIZE;
	input_number(&input, 8);
	while (input.count > CHUNK_HEADER && ret->chunk_count < MAX_CHUNKS) {
		uint64_t offset = input_number(&input, 6);
		const uint8_t *bytes;

		length = (size_t)input_number(&input, 2);
		bytes = input_take(&input, length, &length);
		ret->chunks[ret->chunk_count].at = (size_t)(bytes - data);
		ret->chunks[ret->chunk_count].length = length;
		ret->chunks[ret->chunk_count++].offset = offset;
	}
}

/* An entry that leads to a cluster with something in it, or to the first one behind all. */
static uint64_t make_entry(struct prng *prng, const struct places *places,
			   unsigned int cluster_bits)
{
	static const uint64_t flags[] = {
		0, UINT64_C(1) << 63,     UINT64_C(1) << 63, UINT64_C(1) << 62,
		1, UINT64_C(1) << 63 | 1,
	};
	size_t chunk = prng_below(prng, places->chunk_count);
	uint64_t offset = align_down(places->chunks[chunk].offset, UINT64_C(1) << cluster_bits);

	if (prng_chance(prng, 20))
		offset += UINT64_C(1) << cluster_bits;
	if (prng_chance(prng, 10))
		offset = 0;
	return offset | flags[prng_below(prng, sizeof(flags) / sizeof(flags[0]))];
}

/* Change a word of the image: an entry of a table, most likely. */
static void change_word(struct prng *prng, uint8_t *data, const struct places *places)
{
	size_t chunk = prng_below(prng, places->chunk_count);
	size_t words = places->chunks[chunk].length / WORD;
	unsigned int cluster_bits = 12;
	uint8_t *at;

	if (words == 0)
		return;
	if (places->chunks[0].offset == 0 && places->chunks[0].length >= 24)
		cluster_bits = get_be32(data + places->chunks[0].at + 20) % 22;
	/* Words of the image, not of the chunk. */
	at = data + places->chunks[chunk].at + prng_below(prng, words) * WORD;
	if (places->chunks[chunk].offset % WORD != 0 &&
	    places->chunks[chunk].length >= words * WORD + WORD)
		at += WORD - places->chunks[chunk].offset % WORD;
	switch (prng_below(prng, 4)) {
	case 0:
		put_be64(at, get_be64(at) ^ UINT64_C(1) << prng_below(prng, 64));
		break;
	case 1:
		put_be64(at, get_be64(at) + (UINT64_C(1) << cluster_bits));
		break;
	default:
		put_be64(at, make_entry(prng, places, cluster_bits));
	}
}

static void change_operation(struct prng *prng, uint8_t *data, const struct places *places)
{
	uint8_t *at = data + places->operations +
		      prng_below(prng, places->operation_count) * DISK_OPERATION_SIZE;

	switch (prng_below(prng, 3)) {
	case 0:
		at[0] = (uint8_t)(prng_below(prng, 13) | prng_below(prng, 8) << 5);
		break;
	case 1:
		at[1 + prng_below(prng, 3)] = (uint8_t)prng_next(prng);
		break;
	default:
		at[4 + prng_below(prng, 2)] = (uint8_t)prng_next(prng);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct prng prng = prng_fork(seed, size);
	struct places places;

	find_places(data, size, &places);
	if (places.chunk_count > 0 && prng_chance(&prng, 40))
		change_word(&prng, data, &places);
	else if (places.operation_count > 0 && prng_chance(&prng, 30))
		change_operation(&prng, data, &places);
	else
		return LLVMFuzzerMutate(data, size, max_size);
	return size;
}
