/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads of which only one runs at a time, and which take turns at places and in an order that
 * follows from a seed: so a run with threads can be repeated like one without.
 *
 * A turn may end wherever the library takes or releases a lock or calls the host-file layer. The
 * linker has the library call the functions here in place of those of libpthread (--wrap).
 */
#pragma once

#include "prng.h"

#define SCHEDULE_MAX_THREADS 4

/*
 * Run @body in @count threads, with their number, until all have returned. A turn ends at a place
 * where it may with a chance of @percent.
 */
void schedule_run(unsigned int count, void (*body)(void *userdata, unsigned int thread),
		  void *userdata, unsigned int percent, struct prng *prng);

/* A place where another thread may go on. Does nothing outside schedule_run(). */
void schedule_point(void);

/* A place that takes long: others are likely to go on. */
void schedule_rest(void);
