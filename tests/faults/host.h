/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's system calls, of which one fails, or all from one on.
 *
 * The linker puts these functions between the library and the C library (--wrap), so that the real
 * hostfile.c and fullio.c are tested with the rest. Files lie in memory (memfd). Only calls made
 * while the host is armed count and fail.
 */
#pragma once

#include "memfile.h"
#include "prng.h"

#include <stdbool.h>

enum call {
	CALL_READ,
	CALL_WRITE,
	CALL_SPACE, /* fallocate */
	CALL_RESIZE,
	CALL_SYNC,
	CALL_STAT,
	CALL_SEEK,
	CALL_LOCK, /* fcntl */
	CALL_COUNT,
};

enum effect {
	EFFECT_NONE,
	EFFECT_ERROR,       /* nothing is done */
	EFFECT_SHORT,       /* a read or write moves a part, and says so */
	EFFECT_SHORT_ERROR, /* a write moves whole sectors, and the next call fails */
	EFFECT_LOSS,        /* a sync fails, and some of what was not yet durable is lost */
};

struct fault {
	const char *name;
	enum effect effect;
	int error;
	bool calls[CALL_COUNT]; /* that it can hit */
	bool once_only;         /* it is not tried for good */
	bool harmless;          /* nobody notices it */
};

struct host {
	int fds[FILE_COUNT];
	struct memfile durable[FILE_COUNT]; /* for EFFECT_LOSS: what the last sync made of each */
	bool armed;
	uint64_t count; /* calls so far */
	enum call *log; /* which they were; NULL: not wanted */
	size_t log_capacity;

	const struct fault *fault; /* NULL: none */
	uint64_t nth;              /* call that it hits first, from 1 on */
	bool for_good;             /* until somebody sets this to false */
	struct prng prng;

	uint64_t hits;
	bool sync_failed, lock_failed;
};

/* There is one host, the one that was made last. */
void host_init(struct host *host, const struct memfile *files);
void host_finish(struct host *host);

/* A new descriptor of a file, or -errno. */
int host_open(struct host *host, unsigned int file, bool writable);

/* What a file holds now. */
void host_load(struct host *host, unsigned int file, struct memfile *ret);
