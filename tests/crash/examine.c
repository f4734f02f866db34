/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every crash of a life; see examine.h. */
#include "examine.h"

#include "check.h"
#include "qemu.h"

#include "align.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of so many states is also used afterwards. */
#define THOROUGH_EVERY 8

/* A state and how it came about. */
struct state {
	struct memfile files[FILE_COUNT];
	enum survival survival;
	uint64_t now;
	bool thorough;
};

/* When the first thing happened that the crash prevented, or did not let end. */
static uint64_t tick_of(const struct crash *crash, enum survival survival)
{
	const struct recording *recording = crash->recording;

	if (survival == SURVIVE_CUT)
		return recording->records[crash->point - 1].tick;
	return crash->point < recording->count ? recording->records[crash->point].tick :
						 MODEL_NEVER;
}

/* Was it a write that came last, so that the crash may have been in the middle of it? */
static bool ends_with_write(const struct crash *crash)
{
	return crash->point > 0 && crash->recording->records[crash->point - 1].kind != RECORD_SYNC;
}

/* The state called @variant at the point where the crash is. Variant 0 loses nothing. */
static void build_state(const struct crash *crash, uint64_t seed, unsigned int variant,
			struct state *state)
{
	struct prng prng = prng_fork(seed ^ prng_mix(crash->point), variant + 5);

	state->survival = SURVIVE_ALL;
	if (variant > 0)
		state->survival = SURVIVE_CUT + (enum survival)prng_below(&prng, SURVIVE_COUNT - 1);
	if (state->survival == SURVIVE_CUT && !ends_with_write(crash))
		state->survival = SURVIVE_ALL;
	state->now = tick_of(crash, state->survival);
	state->thorough = prng_below(&prng, THOROUGH_EVERY) == 0;
	crash_build(crash, state->survival, &prng, state->files);
}

static void judge(struct state *state, const struct life *life, const struct workload *workload,
		  struct judgement *ret)
{
	judge_state(life, workload, state->files, state->now, !survival_is_death(state->survival),
		    state->thorough, ret);
}

/* Returns whether something is wrong with a state. */
static bool examine_state(struct examination *examination, const struct life *life,
			  const struct workload *workload, struct state *state,
			  struct finding *finding)
{
	struct judgement judgement;
	bool bad;

	judge(state, life, workload, &judgement);
	snprintf(finding->text, sizeof(finding->text), "%s", judgement.text);
	examination->states++;
	examination->limit--;
	examination->leaky += judgement.leaks > 0;
	if (examination->qemu_every > 0 && !state->thorough &&
	    (examination->states % examination->qemu_every == 0 || judgement.errors > 0)) {
		char text[400] = "";

		examination->compared++;
		qemu_compare(state->files, &judgement, text, sizeof(text));
		if (text[0] != '\0')
			snprintf(finding->text, sizeof(finding->text), "%s (%s)", text,
				 judgement.text);
	}
	bad = finding->text[0] != '\0';
	judgement_finish(&judgement);
	return bad;
}

/*
 * Look at the states at one point. Where nothing was lost and nothing new is there, there are
 * none.
 */
static bool examine_point(struct examination *examination, const struct life *life,
			  const struct workload *workload, const struct crash *crash, uint64_t seed,
			  struct finding *ret)
{
	bool synced =
		crash->point > 0 && crash->recording->records[crash->point - 1].kind == RECORD_SYNC;
	unsigned int first = synced ? 1 : 0;
	unsigned int end = crash_has_pending(crash) ? 1 + examination->variants : 1 + first;
	struct state state = { 0 };
	bool bad = false;

	for (unsigned int variant = first; variant < end && !bad && examination->limit > 0;
	     variant++) {
		build_state(crash, seed, variant, &state);
		bad = examine_state(examination, life, workload, &state, ret);
		ret->name = (struct state_name){ crash->point, variant };
		ret->survival = state.survival;
	}
	memfiles_finish(state.files);
	return bad;
}

/*
 * What was closed in peace has no more leaks than before. A bitmap that became invalid is leaked.
 */
static bool has_leaked(const struct life *life, const struct workload *workload,
		       struct finding *finding)
{
	const struct memfile *final = &life->final[FILE_IMAGE];
	struct memfile initial = { 0 };
	struct check_result before, after;

	/*
	 * A crash may have leaked clusters beyond the end of the file, which are not counted there.
	 */
	memfile_copy(&initial, &life->initial[FILE_IMAGE]);
	memfile_resize(&initial, max_u64(initial.size, final->size));
	check_image(&initial, &before);
	check_image(final, &after);
	memfile_finish(&initial);
	if (workload->build.bitmaps || after.leaks <= before.leaks)
		return false;
	finding->name = (struct state_name){ life->recording.count, 0 };
	finding->survival = SURVIVE_ALL;
	snprintf(finding->text, sizeof(finding->text),
		 "closed, and %" PRIu64 " cluster(s) are leaked; %" PRIu64 " were before",
		 after.leaks, before.leaks);
	return true;
}

bool examine_life(struct examination *examination, const struct life *life,
		  const struct workload *workload, uint64_t seed, struct finding *ret)
{
	struct crash crash;
	bool bad = false;

	if (life->error[0] != '\0') {
		*ret = (struct finding){ .name = { .point = SIZE_MAX } };
		snprintf(ret->text, sizeof(ret->text), "%s", life->error);
		return true;
	}
	crash_init(&crash, &life->recording, life->initial, seed);
	do
		bad = examine_point(examination, life, workload, &crash, seed, ret);
	while (!bad && examination->limit > 0 && crash_advance(&crash));
	crash_finish(&crash);
	return bad || has_leaked(life, workload, ret);
}

static void move_to(struct crash *crash, size_t point)
{
	while (crash->point < point && crash_advance(crash))
		;
}

void examine_again(const struct life *life, const struct workload *workload, uint64_t seed,
		   struct state_name name, const char *directory)
{
	struct judgement judgement;
	struct state state = { 0 };
	struct crash crash;

	crash_init(&crash, &life->recording, life->initial, seed);
	move_to(&crash, name.point);
	build_state(&crash, seed, name.variant, &state);
	if (directory && qemu_save(state.files, directory) < 0)
		printf("cannot write to %s\n", directory);
	judge(&state, life, workload, &judgement);
	printf("crash before record %zu, survivors: %s%s\n%s\n", name.point,
	       survival_name(state.survival), state.thorough ? ", used afterwards" : "",
	       judgement.text[0] ? judgement.text : "nothing is wrong");
	if (judgement.sector != SIZE_MAX) {
		model_explain(&life->model, judgement.moment, judgement.sector);
		printf("  it holds %016llx\n",
		       (unsigned long long)model_hash(judgement.content +
						      judgement.sector * SECTOR));
	}
	judgement_finish(&judgement);
	memfiles_finish(state.files);
	crash_finish(&crash);
}

void examine_pick(const struct life *life, uint64_t seed, struct memfile *ret)
{
	struct prng prng = prng_fork(seed, 6);
	struct crash crash;

	crash_init(&crash, &life->recording, life->initial, seed);
	move_to(&crash, (size_t)prng_below(&prng, life->recording.count + 1));
	crash_build(&crash, (enum survival)prng_below(&prng, SURVIVE_COUNT), &prng, ret);
	crash_finish(&crash);
}
