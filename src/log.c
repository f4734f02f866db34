/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Levels, and where messages go. The two settings are made once by the main thread.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static struct {
	bool verbose;
	bool syslog;
} settings;

void log_set_verbose(bool verbose)
{
	settings.verbose = verbose;
}

void log_to_syslog(void)
{
	openlog("imgfuse", LOG_PID, LOG_DAEMON);
	settings.syslog = true;
}

char *log_printable(char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == '\177')
			*c = '?';
	return text;
}

static void say(int priority, const char *prefix, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

static void say(int priority, const char *prefix, const char *format, va_list arguments)
{
	char text[2048]; /* longer ones are cut: nothing worth saying is longer */

	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		return;
	log_printable(text);
	if (settings.syslog)
		syslog(priority, "%s%s", prefix, text);
	else
		fprintf(stderr, "imgfuse: %s%s\n", prefix, text);
}

void log_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(LOG_ERR, "", format, arguments);
	va_end(arguments);
}

void log_warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(LOG_WARNING, "warning: ", format, arguments);
	va_end(arguments);
}

void log_verbose(const char *format, ...)
{
	va_list arguments;

	if (!settings.verbose)
		return;
	va_start(arguments, format);
	say(LOG_INFO, "", format, arguments);
	va_end(arguments);
}
