/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grace periods: when no request can hold a host offset any more that it looked up before.
 *
 * Every request is inside a grace period from before it asks where guest bytes lie until it has
 * moved them. Space that was unlinked in epoch E may be used anew once the epoch is E + 2, since
 * every request that began before the unlinking has ended by then (I5). Nobody ever waits: who
 * wants to recycle tries to advance the epoch, and tries again later if it could not.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct grace {
	_Atomic uint64_t epoch;
	_Atomic uint64_t inside[2]; /* requests that entered in an even, an odd epoch */
};

static inline void grace_init(struct grace *grace)
{
	atomic_init(&grace->epoch, 2);
	atomic_init(&grace->inside[0], 0);
	atomic_init(&grace->inside[1], 0);
}

/* Returns the epoch entered, to be given to grace_leave(). */
static inline uint64_t grace_enter(struct grace *grace)
{
	for (;;) {
		uint64_t epoch = atomic_load(&grace->epoch);

		atomic_fetch_add(&grace->inside[epoch & 1], 1);
		if (atomic_load(&grace->epoch) == epoch)
			return epoch;
		/* The epoch moved on in between: who advances it may not have seen us. */
		atomic_fetch_sub(&grace->inside[epoch & 1], 1);
	}
}

static inline void grace_leave(struct grace *grace, uint64_t epoch)
{
	atomic_fetch_sub(&grace->inside[epoch & 1], 1);
}

static inline uint64_t grace_now(struct grace *grace)
{
	return atomic_load(&grace->epoch);
}

/*
 * Begin a new epoch unless requests of the last but one are still under way. One thread at a
 * time. Returns the epoch that it is now.
 */
static inline uint64_t grace_advance(struct grace *grace)
{
	uint64_t epoch = atomic_load(&grace->epoch);

	if (atomic_load(&grace->inside[(epoch + 1) & 1]) == 0)
		atomic_store(&grace->epoch, epoch + 1);
	return atomic_load(&grace->epoch);
}

/* Has everybody left who can know of something that was unlinked in @epoch? */
static inline bool grace_is_over(struct grace *grace, uint64_t epoch)
{
	return grace_now(grace) >= epoch + 2;
}
