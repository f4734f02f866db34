/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Last words: what is said when a signal ends a process that somebody waits for.
 */
#pragma once

/*
 * From now on, when SIGINT, SIGTERM or SIGHUP ends this process, it says "PATH: interrupted; STATE"
 * first. A signal that the caller had ignored stays so.
 */
void interruption_means(const char *path, const char *state);

/* In a process that was forked: it has nothing to say. */
void interruption_forget(void);
