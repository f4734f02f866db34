/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the command lines of the test programs have in common.
 */
#pragma once

#include <stdint.h>

/*
 * The number that an argument says, or a new one each time for "random". Ends the program for
 * others.
 */
uint64_t arguments_number(const char *text);
