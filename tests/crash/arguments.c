/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers from the command line; see arguments.h. */
#include "arguments.h"

#include "prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t arguments_number(const char *text)
{
	char *end;
	uint64_t value;

	if (strcmp(text, "random") == 0)
		return prng_mix((uint64_t)time(NULL) ^ (uint64_t)getpid() << 32) >> 40;
	value = strtoull(text, &end, 0);
	if (*end != '\0') {
		fprintf(stderr, "%s is not a number\n", text);
		exit(2);
	}
	return value;
}
