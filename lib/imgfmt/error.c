/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words for what went wrong while opening: filled where the error is born, with its values. */
#include "imgfmt.h"

#include <stdarg.h>
#include <stdio.h>

int imgfmt_error_set(struct imgfmt_error *error, int r, const char *format, ...)
{
	va_list arguments;

	if (!error)
		return r;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return r;
}
