/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of hostfile.h that move bytes, in whose place the linker puts these ("--wrap"); see
 * delays.h. What the threads do does not follow from the delays, which are anything.
 */
#include "delays.h"

#include "hostfile.h"

#include <stdint.h>
#include <time.h>

/* In ns. A few are so long that a flush, or several, fits in. */
#define SHORT 200000u
#define LONG  5000000u

static unsigned int chance;

void delays_set(unsigned int wanted)
{
	chance = wanted;
}

/* Any number below @limit: xorshift. */
static uint64_t any_below(uint64_t limit)
{
	static _Thread_local uint64_t state;

	if (state == 0)
		state = (uint64_t)(uintptr_t)&state | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

static void dawdle(void)
{
	struct timespec delay = { 0 };

	if (any_below(1000) >= chance)
		return;
	delay.tv_nsec = (long)any_below(any_below(20) == 0 ? LONG : SHORT);
	nanosleep(&delay, NULL);
}

/* NOLINTBEGIN: the names are the linker's */
#define DELAYED(name, parameters, ...)          \
	int __real_##name parameters;           \
	int __wrap_##name parameters;           \
	int __wrap_##name parameters            \
	{                                       \
		int r;                          \
                                                \
		dawdle();                       \
		r = __real_##name(__VA_ARGS__); \
		dawdle();                       \
		return r;                       \
	}

DELAYED(hostfile_read, (struct hostfile * file, void *buffer, size_t count, uint64_t offset), file,
	buffer, count, offset)
DELAYED(hostfile_write, (struct hostfile * file, const void *buffer, size_t count, uint64_t offset),
	file, buffer, count, offset)
DELAYED(hostfile_writev, (struct hostfile * file, struct iovec *iov, int count, uint64_t offset),
	file, iov, count, offset)
DELAYED(hostfile_zero, (struct hostfile * file, uint64_t offset, uint64_t length, bool punch), file,
	offset, length, punch)
DELAYED(hostfile_extend, (struct hostfile * file, uint64_t size), file, size)
DELAYED(hostfile_sync, (struct hostfile * file), file)

void __real_hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length);
void __wrap_hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length);
void __wrap_hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length)
{
	dawdle();
	__real_hostfile_discard(file, offset, length);
	dawdle();
}
/* NOLINTEND */
