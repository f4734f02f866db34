/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon says: one line per message, to stderr while somebody is there to read it, to
 * syslog once the process runs in the background.
 *
 * Messages carry names and values from images, so control characters are replaced before they
 * reach a terminal. May be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Say also what log_verbose() has to say. */
void log_set_verbose(bool verbose);

/* From now on, write to syslog in place of stderr. Not while other threads may be logging. */
void log_to_syslog(void);

/* "imgfuse: MESSAGE" */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "imgfuse: warning: MESSAGE" */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "imgfuse: MESSAGE", under --verbose only */
void log_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replace every control character of @text by a question mark, in place. Returns @text. */
char *log_printable(char *text);
