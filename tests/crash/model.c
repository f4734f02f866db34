/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each sector may hold; see model.h. */
#include "model.h"

#include "align.h"
#include "array.h"
#include "bytes.h"
#include "prng.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t model_hash(const uint8_t *sector)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < SECTOR; i += 8) {
		uint64_t word;

		memcpy(&word, sector + i, 8);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return hash;
}

uint64_t model_hash_zero(void)
{
	static const uint8_t zeroes[SECTOR];

	return model_hash(zeroes);
}

static void add_version(struct history *history, struct version version)
{
	must_reserve(&history->versions, history->count, &history->capacity,
		     sizeof(*history->versions));
	history->versions[history->count++] = version;
}

static struct history *sector_history(struct model *model, size_t sector)
{
	while (model->sector_count <= sector) {
		must_reserve(&model->sectors, model->sector_count, &model->sector_capacity,
			     sizeof(*model->sectors));
		model->sectors[model->sector_count++] = (struct history){ 0 };
	}
	return &model->sectors[sector];
}

void model_init(struct model *model, const uint8_t *content, uint64_t size)
{
	*model = (struct model){ 0 };
	add_version(&model->size, (struct version){ .end = 1, .hash = size, .other = size });
	for (size_t i = 0; i < size / SECTOR; i++) {
		const struct change change = { .bytes = content + i * SECTOR };

		model_begin_sector(model, i, &change);
		model_end_sector(model, i, 0, 1);
	}
}

static void free_versions(struct history *history)
{
	for (size_t i = 0; i < history->count; i++)
		free(history->versions[i].bytes);
	free(history->versions);
}

void model_finish(struct model *model)
{
	for (size_t i = 0; i < model->sector_count; i++)
		free_versions(&model->sectors[i]);
	free(model->sectors);
	free_versions(&model->size);
	free(model->barriers);
	*model = (struct model){ 0 };
}

void model_begin_sector(struct model *model, size_t sector, const struct change *change)
{
	struct version version = {
		.request = change->request,
		.start = change->start,
		.end = MODEL_NEVER,
		.hash = model_hash_zero(),
		.partial = change->partial,
	};

	if (change->bytes && !all_zero(change->bytes, SECTOR)) {
		version.hash = model_hash(change->bytes);
		version.bytes = must_calloc(1, SECTOR);
		memcpy(version.bytes, change->bytes, SECTOR);
	}
	version.other = change->other ? change->other : version.hash;
	add_version(sector_history(model, sector), version);
}

void model_begin_size(struct model *model, unsigned int request, uint64_t start, uint64_t size)
{
	add_version(&model->size, (struct version){ .request = request,
						    .start = start,
						    .end = MODEL_NEVER,
						    .hash = size,
						    .other = size });
}

static void end_version(struct history *history, unsigned int request, uint64_t end)
{
	for (size_t i = history->count; i-- > 0;) {
		if (history->versions[i].request != request)
			continue;
		history->versions[i].end = end;
		return;
	}
	assert(false);
}

void model_end_sector(struct model *model, size_t sector, unsigned int request, uint64_t end)
{
	end_version(&model->sectors[sector], request, end);
}

void model_end_size(struct model *model, unsigned int request, uint64_t end)
{
	end_version(&model->size, request, end);
}

void model_add_barrier(struct model *model, enum barrier_kind kind, uint64_t start, uint64_t end)
{
	must_reserve(&model->barriers, model->barrier_count, &model->barrier_capacity,
		     sizeof(*model->barriers));
	model->barriers[model->barrier_count++] = (struct barrier){ kind, start, end };
}

struct moment model_moment(const struct model *model, uint64_t now, enum barrier_kind least)
{
	struct moment moment = { .now = now, .known = 2 };

	for (size_t i = 0; i < model->barrier_count; i++) {
		const struct barrier *barrier = &model->barriers[i];

		if (barrier->kind >= least && barrier->end < now)
			moment.known = max_u64(moment.known, barrier->start);
	}
	return moment;
}

/* The latest moment at which something began that is known to be there. */
static uint64_t superseded_before(const struct history *history, struct moment moment)
{
	uint64_t latest = 0;

	for (size_t i = 0; i < history->count; i++)
		if (history->versions[i].end < moment.known)
			latest = max_u64(latest, history->versions[i].start);
	return latest;
}

static bool may_be_seen(const struct version *version, struct moment moment, uint64_t superseded)
{
	return version->start < moment.now && version->end > superseded;
}

static bool allows(const struct history *history, struct moment moment, uint64_t hash)
{
	uint64_t superseded = superseded_before(history, moment);

	for (size_t i = history->count; i-- > 0;) {
		const struct version *version = &history->versions[i];

		if ((version->hash == hash || version->other == hash) &&
		    may_be_seen(version, moment, superseded))
			return true;
	}
	return false;
}

/* Is every byte one that some version has there, of which at least one changed only a part? */
static bool allows_mixture(const struct history *history, struct moment moment,
			   const uint8_t *bytes)
{
	uint64_t superseded = superseded_before(history, moment);
	bool partial = false;
	size_t right = 0;

	for (size_t i = 0; i < history->count; i++)
		partial |= history->versions[i].partial &&
			   may_be_seen(&history->versions[i], moment, superseded);
	if (!partial)
		return false;
	for (size_t at = 0; at < SECTOR; at++) {
		for (size_t i = 0; i < history->count; i++) {
			const struct version *version = &history->versions[i];

			if (may_be_seen(version, moment, superseded) &&
			    bytes[at] == (version->bytes ? version->bytes[at] : 0)) {
				right++;
				break;
			}
		}
	}
	return right == SECTOR;
}

bool model_allows_size(const struct model *model, struct moment moment, uint64_t size)
{
	return allows(&model->size, moment, size);
}

size_t model_compare(const struct model *model, struct moment moment, const uint8_t *content,
		     size_t first_sector, uint64_t size)
{
	size_t count = (size_t)(size / SECTOR);

	for (size_t i = 0; i < count; i++) {
		const uint8_t *bytes = content + i * SECTOR;
		const struct history *history;

		if (first_sector + i >= model->sector_count)
			return i;
		history = &model->sectors[first_sector + i];
		if (!allows(history, moment, model_hash(bytes)) &&
		    !allows_mixture(history, moment, bytes))
			return i;
	}
	return count;
}

void model_explain(const struct model *model, struct moment moment, size_t sector)
{
	const struct history *history;
	uint64_t superseded;

	if (sector >= model->sector_count) {
		printf("sector %zu never was\n", sector);
		return;
	}
	history = &model->sectors[sector];
	superseded = superseded_before(history, moment);
	printf("sector %zu at tick %" PRIu64 ", known up to %" PRIu64 ":\n", sector, moment.now,
	       moment.known);
	for (size_t i = 0; i < history->count; i++) {
		const struct version *version = &history->versions[i];

		printf("  %s request %u, ticks %" PRIu64 " to %" PRIu64 ": %016" PRIx64 "%s\n",
		       may_be_seen(version, moment, superseded) ? "+" : "-", version->request,
		       version->start, version->end == MODEL_NEVER ? 0 : version->end,
		       version->hash, version->hash == model_hash_zero() ? " (zeroes)" : "");
	}
}
