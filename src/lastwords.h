/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the server's libraries print when they end it, above all an assertion or malloc(3): instead
 * of the caller's terminal or log, which is nothing for whoever parses images, its standard error
 * is a small file in memory. The supervisor says afterwards what is in it.
 */
#pragma once

#include <stdbool.h>

/* Create the file. Returns its descriptor, or -1 as open(2) does. */
int lastwords_create(void);

/*
 * Say what was written to @fd, line by line but not without end: as errors where it has @failed.
 * @name is the image's, for messages.
 */
void lastwords_say(int fd, const char *name, bool failed);
