/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon says: one line per message, to stderr while somebody is there to read it, to
 * syslog once the process runs in the background.
 *
 * Who does not read it for a moment misses it, see outward.h.
 *
 * Messages carry names and values from images, so what is not printable (printable.h) is replaced
 * before it reaches a terminal. May be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Say also what log_verbose() has to say. */
void log_set_verbose(bool verbose);

/* From now on, write to syslog in place of stderr. Not while other threads may be logging. */
void log_to_syslog(void);

/*
 * From now on, give messages to @sink, or to no sink again if it is NULL: with the priority that
 * syslog(3) knows, and as printable text. Not while other threads may be logging.
 */
void log_to(void (*sink)(void *userdata, int priority, const char *text), void *userdata);

/* The size of the buffer for a message; longer ones are cut: nothing worth saying is longer. */
#define LOG_MESSAGE_MAX 2048

/* Say what another process gave to its sink. */
void log_message(int priority, const char *text);

/* "imgfuse: MESSAGE" */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "imgfuse: warning: MESSAGE" */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "imgfuse: MESSAGE", under --verbose only */
void log_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replace every byte of @text that is not printable by a question mark, in place. Returns @text. */
char *log_printable(char *text);
