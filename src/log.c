/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Levels, and where messages go. The settings are made by the main thread.
 */
#include "log.h"

#include "outward.h"
#include "printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static struct {
	bool verbose;
	bool syslog;
	void (*sink)(void *userdata, int priority, const char *text);
	void *userdata;
} settings;

void log_set_verbose(bool verbose)
{
	settings.verbose = verbose;
}

void log_to_syslog(void)
{
	settings.syslog = true;
}

void log_to(void (*sink)(void *userdata, int priority, const char *text), void *userdata)
{
	settings.sink = sink;
	settings.userdata = userdata;
}

char *log_printable(char *text)
{
	unsigned int length;
	bool printable;

	for (char *c = text; *c; c += length) {
		length = printable_length(c, &printable);
		if (!printable)
			memset(c, '?', length);
	}
	return text;
}

static void say_on_stderr(const char *text)
{
	static struct outward listener;
	char line[LOG_MESSAGE_MAX + 32];

	snprintf(line, sizeof(line), "imgfuse: %s\n", text);
	outward_write(STDERR_FILENO, line, strlen(line), &listener);
}

/* As syslog(3) does it, which waits for a service that hangs. */
static void tell_syslog(int priority, const char *text)
{
	static struct outward listener;
	char line[LOG_MESSAGE_MAX + 64], date[32];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%b %e %T", &tm);
	snprintf(line, sizeof(line), "<%d>%s imgfuse[%d]: %s", LOG_DAEMON | priority, date,
		 (int)getpid(), text);
	outward_send("/dev/log", line, &listener);
}

void log_message(int priority, const char *text)
{
	if (settings.sink)
		settings.sink(settings.userdata, priority, text);
	else if (settings.syslog)
		tell_syslog(priority, text);
	else
		say_on_stderr(text);
}

static void say(int priority, const char *prefix, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

static void say(int priority, const char *prefix, const char *format, va_list arguments)
{
	char text[LOG_MESSAGE_MAX];
	int length = snprintf(text, sizeof(text), "%s", prefix);

	if (vsnprintf(text + length, sizeof(text) - (size_t)length, format, arguments) >= 0)
		log_message(priority, log_printable(text));
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
