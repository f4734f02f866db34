/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* States after a crash; see states.h. */
#include "states.h"

#include "align.h"

#include <string.h>

void crash_init(struct crash *crash, const struct recording *recording,
		const struct memfile *initial, uint64_t seed)
{
	*crash = (struct crash){ .recording = recording, .prng = prng_fork(seed, 0) };
	memfiles_copy(crash->durable, initial);
}

void crash_finish(struct crash *crash)
{
	memfiles_finish(crash->durable);
}

/* ---- applying records ---- */

/* Let one sector of a write or a discard be there. */
static void apply_sector(struct memfile *file, const struct record *record, uint64_t into)
{
	static const uint8_t zeroes[SECTOR];
	uint64_t offset = record->offset + into;
	uint64_t end = min_u64(offset + SECTOR, max_u64(record->size, file->size));

	if (offset < end)
		memfile_write(file, record->bytes ? record->bytes + into : zeroes, end - offset,
			      offset);
}

static void apply_size(struct memfile *file, const struct record *record)
{
	if (record->kind == RECORD_RESIZE || record->size > file->size)
		memfile_resize(file, record->size);
}

static void apply_record(struct memfile *file, const struct record *record)
{
	for (uint64_t into = 0; into < record->length; into += SECTOR)
		apply_sector(file, record, into);
	apply_size(file, record);
}

static void make_durable(struct crash *crash, unsigned int file, size_t covered)
{
	for (size_t i = crash->covered[file]; i < covered; i++) {
		const struct record *record = &crash->recording->records[i];

		if (record->file != file || record->kind == RECORD_SYNC)
			continue;
		if (record->kind == RECORD_DISCARD && prng_chance(&crash->prng, 50))
			continue;
		apply_record(&crash->durable[file], record);
	}
	if (covered > crash->covered[file])
		crash->covered[file] = covered;
}

bool crash_advance(struct crash *crash)
{
	const struct record *record;

	if (crash->point == crash->recording->count)
		return false;
	record = &crash->recording->records[crash->point++];
	if (record->kind == RECORD_SYNC)
		make_durable(crash, record->file, record->covered);
	return true;
}

/* ---- choosing ---- */

static bool is_pending(const struct crash *crash, size_t i)
{
	const struct record *record = &crash->recording->records[i];

	return record->kind != RECORD_SYNC && i >= crash->covered[record->file];
}

static size_t first_pending(const struct crash *crash)
{
	size_t first = crash->point;

	for (unsigned int file = 0; file < FILE_COUNT; file++)
		if (crash->covered[file] < first)
			first = crash->covered[file];
	return first;
}

static size_t count_pending(const struct crash *crash)
{
	size_t count = 0;

	for (size_t i = first_pending(crash); i < crash->point; i++)
		count += is_pending(crash, i);
	return count;
}

bool crash_has_pending(const struct crash *crash)
{
	return count_pending(crash) > 0;
}

const char *survival_name(enum survival survival)
{
	static const char *const names[SURVIVE_COUNT] = {
		"all", "cut", "none", "records", "sectors", "all but one", "only one", "late",
	};

	return names[survival];
}

/* What was chosen for a state as a whole. */
struct choice {
	enum survival survival;
	size_t number;        /* of the write that CUT, ALL_BUT_ONE, ONLY_ONE and LATE are about */
	unsigned int percent; /* RECORDS, SECTORS */
	bool torn;            /* of that one write only a part is meant */
	struct prng *prng;
};

/* Does the @nth pending write survive as a whole? */
static bool survives(const struct choice *choice, size_t nth)
{
	switch (choice->survival) {
	case SURVIVE_NONE:
		return false;
	case SURVIVE_RECORDS:
		return prng_chance(choice->prng, choice->percent);
	case SURVIVE_ALL_BUT_ONE:
		return nth != choice->number;
	case SURVIVE_ONLY_ONE:
		return nth == choice->number;
	case SURVIVE_LATE:
		return nth >= choice->number;
	case SURVIVE_ALL:
	case SURVIVE_CUT:
	case SURVIVE_SECTORS:
	case SURVIVE_COUNT:
		break;
	}
	return true;
}

static bool is_torn(const struct choice *choice, size_t nth)
{
	return choice->survival == SURVIVE_SECTORS || (choice->torn && nth == choice->number);
}

/* Let some of the sectors of a write be there, and its size or not. */
static void apply_torn(struct memfile *file, const struct record *record,
		       const struct choice *choice)
{
	for (uint64_t into = 0; into < record->length; into += SECTOR)
		if (prng_chance(choice->prng, choice->percent))
			apply_sector(file, record, into);
	if (prng_chance(choice->prng, choice->percent))
		apply_size(file, record);
}

/* Let the sectors be there that a write had come to. */
static void apply_cut(struct memfile *file, const struct record *record,
		      const struct choice *choice)
{
	uint64_t end = prng_below(choice->prng, record->length + 1);

	for (uint64_t into = 0; into < align_down(end, SECTOR); into += SECTOR)
		apply_sector(file, record, into);
}

static void apply_choice(struct memfile *file, const struct record *record,
			 const struct choice *choice, size_t nth)
{
	struct choice half = *choice;

	half.percent = 50;
	if (record->kind == RECORD_DISCARD)
		apply_torn(file, record, &half);
	else if (choice->survival == SURVIVE_CUT && nth == choice->number)
		apply_cut(file, record, choice);
	else if (is_torn(choice, nth))
		apply_torn(file, record, choice);
	else if (survives(choice, nth))
		apply_record(file, record);
	else if (prng_chance(choice->prng, 10))
		apply_size(file, record);
}

void crash_build(const struct crash *crash, enum survival survival, struct prng *prng,
		 struct memfile *ret)
{
	static const unsigned int percents[] = { 50, 10, 90 };
	size_t pending = count_pending(crash);
	struct choice choice = {
		.survival = survival,
		.number = pending ? (size_t)prng_below(prng, pending) : 0,
		.percent = percents[prng_below(prng, 3)],
		.torn = !survival_is_death(survival) && prng_chance(prng, 25),
		.prng = prng,
	};
	size_t nth = 0;

	if (survival == SURVIVE_CUT && pending > 0)
		choice.number = pending - 1;
	memfiles_copy(ret, crash->durable);
	for (size_t i = first_pending(crash); i < crash->point; i++) {
		const struct record *record = &crash->recording->records[i];

		if (!is_pending(crash, i))
			continue;
		apply_choice(&ret[record->file], record, &choice, nth);
		nth++;
	}
}
