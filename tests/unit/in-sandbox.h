/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the sandbox share: a process that enters it as the server does, and tries one
 * thing there.
 */
#pragma once

#include "test.h"

#include "sandbox.h"

#include <errno.h>
#include <sys/wait.h>

enum depth {
	BEGUN, /* sandbox_begin() only */
	SEALED,
};

/*
 * What comes of @attempt in the sandbox: 0 for success, an errno, or minus the signal that ended
 * the process. @attempt returns -1 with errno set where it fails.
 */
static inline int outcome(enum depth depth, int (*attempt)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		sandbox_begin("test");
		if (depth == SEALED)
			sandbox_seal("test");
		_exit(attempt() < 0 ? errno : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

struct attempt {
	const char *name;
	int (*function)(void);
	int wanted; /* see outcome() */
};

static inline void try_all(enum depth depth, const struct attempt *attempts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int got = outcome(depth, attempts[i].function);

		if (got != attempts[i].wanted)
			test_failed(__FILE__, __LINE__, "%s: %d (%s), should be %d",
				    attempts[i].name, got, got < 0 ? "signal" : strerror(got),
				    attempts[i].wanted);
	}
}

#define TRY(depth, attempts) try_all(depth, attempts, sizeof(attempts) / sizeof((attempts)[0]))
