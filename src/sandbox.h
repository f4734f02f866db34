/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the serving process gives up before it takes the first request, for good: whatever an image
 * makes of it then, it can read and write the files that it has open, answer requests, and end.
 *
 * In two steps, since a part of it goes from a thread to those that it creates and to no others,
 * and creating them is itself a thing to give up. Each part that this kernel, or the container we
 * run in, does not have is left out, with a message.
 */
#pragma once

#include <stdbool.h>

/* Is there a sandbox in this build? The sanitizers need what it takes away. */
bool sandbox_is_built(void);

/*
 * Give up privileges for good, core dumps, being looked at by other processes of the user, and,
 * where there is Landlock, all files and network addresses that are not open now. To be called by
 * the only thread, before it creates the others. @name is the image's, for messages.
 */
void sandbox_begin(const char *name);

/*
 * Give up all system calls that serving does not take, in all threads, which have been created
 * since sandbox_begin(): no more threads, processes, descriptors or instructions.
 */
void sandbox_seal(const char *name);
