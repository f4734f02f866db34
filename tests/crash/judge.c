/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must be true after a crash; see judge.h. */
#include "judge.h"

#include "check.h"

#include "align.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the autoclear bits lie in the header. */
#define AUTOCLEAR_OFFSET 88

struct state {
	const struct life *life;
	const struct workload *workload;
	struct memfile *files;
	struct judgement *judgement;
};

__attribute__((format(printf, 2, 3))) static void convict(struct state *state, const char *format,
							  ...)
{
	struct judgement *judgement = state->judgement;
	va_list arguments;

	if (judgement->text[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(judgement->text, sizeof(judgement->text), format, arguments);
	va_end(arguments);
}

static void judge_structure(struct state *state)
{
	struct check_result result;

	check_image(&state->files[FILE_IMAGE], &result);
	state->judgement->errors = result.errors;
	state->judgement->leaks = result.leaks;
	if (result.errors > 0)
		convict(state, "%" PRIu64 " error(s): %s", result.errors, result.text);
}

/* Did anything change but the bits? */
static bool is_changed(const struct state *state)
{
	const struct memfile *before = state->life->initial, *after = state->files;
	const uint64_t behind = AUTOCLEAR_OFFSET + 8;

	for (unsigned int i = 0; i < FILE_COUNT; i++) {
		uint64_t skip = i == FILE_IMAGE ? behind : 0;

		if (before[i].size != after[i].size)
			return true;
		if (before[i].size > skip && memcmp(before[i].bytes + skip, after[i].bytes + skip,
						    (size_t)(before[i].size - skip)))
			return true;
	}
	return memcmp(before[FILE_IMAGE].bytes, after[FILE_IMAGE].bytes, AUTOCLEAR_OFFSET) != 0;
}

static void judge_autoclear(struct state *state)
{
	uint64_t bits = check_autoclear(&state->files[FILE_IMAGE]);

	if ((bits & ~AUTOCLEAR_DATA_RAW) && is_changed(state))
		convict(state, "changed, but autoclear features 0x%" PRIx64 " are still there",
			bits);
	if (state->workload->build.data_raw && !(bits & AUTOCLEAR_DATA_RAW))
		convict(state, "the data file is not raw any more");
}

/* ---- content ---- */

static void judge_content(struct state *state, const char *what, const uint8_t *content,
			  uint64_t size)
{
	struct judgement *judgement = state->judgement;
	size_t sector = model_compare(&state->life->model, judgement->moment, content, 0, size);

	if (sector == size / SECTOR || judgement->text[0] != '\0')
		return;
	judgement->sector = sector;
	convict(state, "%s: sector %zu (guest offset 0x%zx) holds what it must not", what, sector,
		sector * SECTOR);
}

static void judge_disk(struct state *state)
{
	struct judgement *judgement = state->judgement;
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;
	int r;

	r = life_open(state->files, state->workload, NULL, true, NULL, &image, &error);
	if (r < 0) {
		convict(state, "does not open: %.200s", error.text);
		return;
	}
	judgement->size = imgfmt_size(image);
	if (!model_allows_size(&state->life->model, judgement->moment, judgement->size)) {
		convict(state, "the disk has 0x%" PRIx64 " bytes", judgement->size);
		imgfmt_close(image);
		return;
	}
	judgement->content = must_calloc(1, (size_t)judgement->size);
	r = imgfmt_read(image, judgement->content, (size_t)judgement->size, 0);
	if (r < 0)
		convict(state, "the disk cannot be read: %s", strerror(-r));
	else
		judge_content(state, "the disk", judgement->content, judgement->size);
	imgfmt_close(image);
}

/* A raw data file is the disk by itself, as far as it goes. */
static void judge_raw(struct state *state)
{
	uint64_t size = state->judgement->size;
	uint8_t *bytes;

	if (!state->workload->build.data_raw || state->judgement->text[0] != '\0')
		return;
	bytes = must_calloc(1, (size_t)size);
	memfile_read(&state->files[FILE_DATA], bytes, size, 0);
	judge_content(state, "the raw data file", bytes, size);
	free(bytes);
}

static void judge_snapshots(struct state *state)
{
	struct imgfmt_error error = { "" };
	uint64_t hash;

	if (life_hash_snapshots(state->files, state->workload, &hash, &error) < 0)
		convict(state, "%.200s", error.text);
	else if (hash != state->life->snapshot_hash)
		convict(state, "the internal snapshots have changed");
}

/* ---- going on ---- */

/* Write into the open image, and see that this and nothing else changes. */
static void write_on(struct state *state, struct imgfmt_image *image, struct prng *prng)
{
	struct judgement *judgement = state->judgement;
	uint64_t size = judgement->size;
	uint8_t *found = must_calloc(1, (size_t)size);
	int r = 0;

	for (unsigned int i = 0; i < 8 && r == 0; i++) {
		uint64_t offset = prng_below(prng, size / SECTOR) * SECTOR;
		uint64_t length = min_u64(size - offset, SECTOR * (1 + prng_below(prng, 16)));

		build_fill(judgement->content + offset, length, prng_next(prng));
		r = imgfmt_write(image, judgement->content + offset, (size_t)length, offset);
		if (r == 0 && i == 4)
			r = imgfmt_flush(image);
	}
	if (r == 0)
		r = imgfmt_read(image, found, (size_t)size, 0);
	if (r < 0)
		convict(state, "does not work afterwards: %s", strerror(-r));
	else if (memcmp(found, judgement->content, (size_t)size) != 0)
		convict(state, "writing to it afterwards changes something else");
	free(found);
}

/* The image is as good as any: use it. */
static void judge_use(struct state *state)
{
	struct prng prng = prng_fork(state->judgement->moment.now, 4);
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;
	int r;

	if (state->judgement->text[0] != '\0' || state->judgement->size == 0)
		return;
	r = life_open(state->files, state->workload, NULL, false, NULL, &image, &error);
	if (r < 0) {
		convict(state, "cannot be opened for writing: %.200s", error.text);
		return;
	}
	write_on(state, image, &prng);
	r = imgfmt_close(image);
	if (r < 0)
		convict(state, "cannot be closed afterwards: %s", strerror(-r));
	judge_structure(state);
	judge_snapshots(state);
}

void judge_state(const struct life *life, const struct workload *workload, struct memfile *files,
		 uint64_t now, bool power, bool thorough, struct judgement *ret)
{
	struct state state = { life, workload, files, ret };

	*ret = (struct judgement){
		.moment =
			model_moment(&life->model, now, power ? BARRIER_FLUSH : BARRIER_WRITEBACK),
		.sector = SIZE_MAX,
	};
	judge_structure(&state);
	judge_autoclear(&state);
	judge_disk(&state);
	judge_raw(&state);
	judge_snapshots(&state);
	if (thorough)
		judge_use(&state);
}

void judgement_finish(struct judgement *judgement)
{
	free(judgement->content);
	judgement->content = NULL;
}
