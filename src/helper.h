/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one thread of the server that uses the mount from outside: it sets the size and times that the
 * kernel believes in, unmounts, and syncs. Each of these waits for requests to be answered, so no
 * serving thread may do it, and the main thread must stay free for signals.
 */
#pragma once

#include "session.h"

#include <pthread.h>
#include <stdbool.h>

/* Jobs, to be or'ed. They are done in this order. */
enum helper_job {
	HELPER_TAKE_ERROR = 1, /* hear of an error that the kernel keeps for the next to ask */
	HELPER_PRIME = 2,      /* make the kernel's size the true one */
	HELPER_UNMOUNT = 4,    /* unmount; what is in use is detached */
	HELPER_SYNC = 8,       /* have the kernel write back what it can */
	HELPER_QUIT = 16,
};

struct helper {
	struct session *session;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t posted_cond;
	unsigned int posted; /* jobs to do */
	unsigned int done;   /* jobs finished and not yet taken by helper_take() */
	int prime_result;
	int unmount_result; /* 0, -EBUSY: detached but still in use, or why it failed */
	struct imgfmt_error unmount_error;
	bool apart;   /* the thread has descriptors of its own */
	int event_fd; /* readable while there are finished jobs to take */
};

int helper_start(struct helper *helper, struct session *session);

/* Ask for @jobs. May be called by every thread, also by those that serve. */
void helper_post(struct helper *helper, unsigned int jobs);

/* Take the finished jobs; their results in @helper stay until the same are posted again. */
unsigned int helper_take(struct helper *helper);

/* Wait for the thread to end. The mount must be gone, or what it is doing may not end. */
void helper_finish(struct helper *helper);
