/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that came from the caller: a lock or a pipe of his is not ours to keep for long, but
 * until the image is open some of them may be what the command line names (/dev/fd/63).
 */
#pragma once

#include <stddef.h>

struct inherited {
	int *fds;
	size_t count;
};

/* Note which descriptors are open now, but for the standard three. Returns 0 or -errno. */
int inherited_note(struct inherited *inherited);

/* Close those that were noted, but for @keep. */
void inherited_close(struct inherited *inherited, const int *keep, size_t keep_count);

/* Free what @inherited holds. */
void inherited_finish(struct inherited *inherited);
