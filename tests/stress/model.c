/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a disk may hold while many threads change it; see model.h. */
#include "model.h"

#include "memfile.h"

#include "align.h"
#include "lock.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STILL_GOING UINT64_MAX
#define REFUSED     0

/* A word: which change wrote it, and where it belongs. */
#define PLACE_BITS 24

static uint64_t make_word(uint64_t id, uint64_t word_index)
{
	return id << PLACE_BITS | (word_index & ((UINT64_C(1) << PLACE_BITS) - 1));
}

void model_init(struct model *model, uint64_t max_size, uint64_t writes)
{
	*model = (struct model){
		.unit_count = max_size / UNIT,
		.capacity = writes,
		.next_id = 1,
		.clock = 1,
	};
	model->units = must_calloc(model->unit_count, sizeof(*model->units));
	model->initial = must_calloc(model->unit_count, UNIT);
	model->ends = must_calloc(writes, sizeof(*model->ends));
	pthread_mutex_init(&model->mutex, NULL);
}

void model_finish(struct model *model)
{
	free(model->units);
	free(model->initial);
	free(model->ends);
	free(model->resizes);
	pthread_mutex_destroy(&model->mutex);
}

void model_open_life(struct model *model, const void *content, uint64_t size, uint64_t least_size)
{
	memset(model->initial, 0, model->unit_count * UNIT);
	memcpy(model->initial, content, size);
	for (uint64_t i = 0; i < model->unit_count; i++) {
		model->units[i].superseded = 0;
		model->units[i].zeroed = 0;
		model->units[i].zeroing = 0;
	}
	model->first_id = model->next_id;
	model->clock = 1;
	model->resize_count = 0;
	model->size = size;
	model->least_size = least_size;
}

uint64_t model_tick(struct model *model)
{
	return ++model->clock;
}

static struct unit *unit_at(struct model *model, uint64_t guest_offset)
{
	return &model->units[guest_offset / UNIT];
}

struct change model_begin_write(struct model *model, uint64_t guest_offset, uint64_t length)
{
	struct change change = {
		.id = model->next_id++,
		.guest_offset = guest_offset,
		.length = length,
	};

	if (change.id - model->first_id >= model->capacity) {
		fprintf(stderr, "more writes than the model has room for\n");
		exit(2);
	}
	model->ends[change.id - model->first_id] = STILL_GOING;
	change.start = model_tick(model);
	return change;
}

struct change model_begin_zero(struct model *model, uint64_t guest_offset, uint64_t length)
{
	for (uint64_t at = 0; at < length; at += UNIT)
		unit_at(model, guest_offset + at)->zeroing++;
	return (struct change){
		.start = model_tick(model),
		.guest_offset = guest_offset,
		.length = length,
	};
}

static void raise_to(_Atomic uint64_t *number, uint64_t least)
{
	uint64_t old = *number;

	while (old < least && !atomic_compare_exchange_weak(number, &old, least))
		;
}

void model_end(struct model *model, const struct change *change, bool done)
{
	uint64_t end = model_tick(model);

	if (change->id != 0)
		model->ends[change->id - model->first_id] = done ? end : REFUSED;
	for (uint64_t at = 0; at < change->length; at += UNIT) {
		struct unit *unit = unit_at(model, change->guest_offset + at);

		/* In this order: whoever is told that older things are gone must find this one. */
		if (done && change->id == 0)
			raise_to(&unit->zeroed, end);
		if (done)
			raise_to(&unit->superseded, change->start);
		if (change->id == 0)
			unit->zeroing--;
	}
}

void model_fill(const struct change *change, uint64_t *words)
{
	for (uint64_t i = 0; i < change->length / WORD; i++)
		words[i] = make_word(change->id, change->guest_offset / WORD + i);
}

/* ---- the size ---- */

struct change model_begin_resize(struct model *model, uint64_t size)
{
	LOCKED(&model->mutex);
	struct change change =
		model_begin_zero(model, min_u64(size, model->size),
				 max_u64(size, model->size) - min_u64(size, model->size));

	must_reserve(&model->resizes, model->resize_count, &model->resize_capacity,
		     sizeof(*model->resizes));
	model->resizes[model->resize_count++] = (struct resize){
		.start = change.start,
		.end = STILL_GOING,
		.from = model->size,
		.to = size,
	};
	return change;
}

void model_end_resize(struct model *model, const struct change *change, uint64_t size)
{
	LOCKED(&model->mutex);

	model->resizes[model->resize_count - 1].end = model_tick(model);
	model->size = size;
	model_end(model, change, true);
}

void model_sizes_since(struct model *model, uint64_t start, uint64_t *ret_least, uint64_t *ret_most)
{
	LOCKED(&model->mutex);

	*ret_least = *ret_most = model->size;
	for (size_t i = model->resize_count; i-- > 0;) {
		const struct resize *resize = &model->resizes[i];

		if (resize->end < start)
			break;
		*ret_least = min_u64(*ret_least, min_u64(resize->from, resize->to));
		*ret_most = max_u64(*ret_most, max_u64(resize->from, resize->to));
	}
}

/* ---- reading ---- */

struct view model_look(struct model *model, uint64_t guest_offset, uint64_t length,
		       uint64_t *superseded)
{
	for (uint64_t at = 0; at < length; at += UNIT)
		superseded[at / UNIT] = unit_at(model, guest_offset + at)->superseded;
	return (struct view){ .start = model_tick(model), .superseded = superseded };
}

/* Had the write with this id not ended at a tick? It may not have begun in this life. */
static bool was_there(const struct model *model, uint64_t id, uint64_t superseded)
{
	uint64_t end;

	if (id < model->first_id || id >= model->next_id)
		return false;
	end = model->ends[id - model->first_id];
	return end != REFUSED && end >= superseded;
}

static bool allows_word(struct model *model, uint64_t superseded, uint64_t word_index,
			uint64_t word)
{
	uint64_t id = word >> PLACE_BITS;

	if (superseded == 0 && word == model->initial[word_index])
		return true;
	if (word == make_word(id, word_index) && was_there(model, id, superseded))
		return true;
	if (word == 0) {
		struct unit *unit = &model->units[word_index / UNIT_WORDS];

		return unit->zeroing > 0 || unit->zeroed >= max_u64(superseded, 1);
	}
	return false;
}

static void explain(struct model *model, uint64_t superseded, uint64_t word_index, uint64_t word,
		    char *text, size_t capacity)
{
	uint64_t id = word >> PLACE_BITS;
	uint64_t place = word & ((UINT64_C(1) << PLACE_BITS) - 1);
	struct unit *unit = &model->units[word_index / UNIT_WORDS];
	const char *what = "what nobody wrote in this life";

	if (word == 0)
		what = "zeroes that are too old, or nobody's";
	else if (id >= model->first_id && id < model->next_id)
		what = place == word_index ? "an old write" : "a write to another place";
	snprintf(text, capacity,
		 "at 0x%" PRIx64 ": %s: word %016" PRIx64 " (write %" PRIu64 " of place 0x%" PRIx64
		 ", ended at %" PRIu64 "); initially %016" PRIx64 ", zeroed at %" PRIu64
		 ", superseded before %" PRIu64 ", now %" PRIu64,
		 word_index * WORD, what, word, id, place * WORD,
		 id >= model->first_id && id < model->next_id ? model->ends[id - model->first_id] :
								0,
		 model->initial[word_index], unit->zeroed, superseded, model->clock);
}

bool model_allows(struct model *model, const struct view *view, uint64_t guest_offset,
		  uint64_t length, const uint64_t *words, char *text, size_t capacity)
{
	for (uint64_t i = 0; i < length / WORD; i++) {
		uint64_t superseded = view->superseded[i / UNIT_WORDS];
		uint64_t word_index = guest_offset / WORD + i;
		uint64_t word = words ? words[i] : 0;

		if (allows_word(model, superseded, word_index, word))
			continue;
		explain(model, superseded, word_index, word, text, capacity);
		return false;
	}
	return true;
}
