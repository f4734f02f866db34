/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every crash of a life, and many states for each.
 */
#pragma once

#include "judge.h"
#include "states.h"

/* How a state is found again. */
struct state_name {
	size_t point;
	unsigned int variant;
};

struct examination {
	unsigned int
		variants; /* states for each point besides the one where only the process died */
	unsigned int qemu_every; /* one of so many states is shown to qemu-img; 0: none */
	uint64_t limit;          /* states that may still be looked at */
	uint64_t states;         /* looked at so far */
	uint64_t compared;       /* with qemu-img */
	uint64_t leaky;          /* that had leaks */
};

struct finding {
	struct state_name name; /* life.error says what is wrong where point is SIZE_MAX */
	enum survival survival;
	char text[800];
};

/* Look at the states of a life. Returns whether something is wrong, and sets *ret then. */
bool examine_life(struct examination *examination, const struct life *life,
		  const struct workload *workload, uint64_t seed, struct finding *ret);

/*
 * Look at one state again and say all about it. Its files go to @directory too, unless that is
 * NULL.
 */
void examine_again(const struct life *life, const struct workload *workload, uint64_t seed,
		   struct state_name name, const char *directory);

/* Build a state at random into @ret, for the next life to begin with. */
void examine_pick(const struct life *life, uint64_t seed, struct memfile *ret);
