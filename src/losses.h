/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who knows of the cached writes that have failed.
 *
 * The kernel tells of such a failure by fsync(), everybody who had the file open then. By close()
 * it tells only the first one who asks, and that may be somebody else than the writer. So close()
 * is told from here, until an fsync() through the same handle has come as far as to us: before it
 * sends one the kernel has told of all that it knows.
 */
#pragma once

#include <pthread.h>

struct losses {
	pthread_mutex_t lock; /* protects what follows */
	unsigned int count;
	unsigned int handles;  /* that are open for writing */
	unsigned int ignorant; /* of these, to whom the last loss was not told for sure */
	int error;             /* -errno of the last one, until all know of it; or 0 */
};

/* A handle that is open for writing: how many losses it knows of. */
struct losses_handle {
	unsigned int known;
};

void losses_init(struct losses *losses);
void losses_finish(struct losses *losses);

void losses_open(struct losses *losses, struct losses_handle *handle);
void losses_close(struct losses *losses, const struct losses_handle *handle);

/* A write that the kernel had cached has failed with @error. */
void losses_note(struct losses *losses, int error);

/* What close() is to return: 0, or -errno of a loss that the handle may not know of. */
int losses_ask(struct losses *losses, const struct losses_handle *handle);

/* How many there are so far. */
unsigned int losses_count(struct losses *losses);

/* An fsync() through the handle has succeeded that came when there were @count losses. */
void losses_tell(struct losses *losses, struct losses_handle *handle, unsigned int count);

/* 0, or -errno of a loss that perhaps nobody was told of. */
int losses_error(struct losses *losses);
