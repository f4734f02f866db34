/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may be shown to people. Names come from images and from file systems, so anything may stand
 * in them: a terminal obeys control characters, and what turns the direction of writing makes one
 * name look like another. This is the one place that says which characters these are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The length in bytes of the UTF-8 character that @text begins with, and its code in *ret_code;
 * or 0 where there is none, so that its first byte stands for nothing. @text is not empty.
 */
unsigned int utf8_character(const char *text, uint32_t *ret_code);

/* Is a character neither a control character nor one that changes direction or breaks lines? */
bool is_printable(uint32_t code);

/*
 * The length in bytes of what @text, which is not empty, begins with: a character, or a byte that
 * is none. Sets *ret_printable to whether it may be shown.
 */
unsigned int printable_length(const char *text, bool *ret_printable);

/* Write @text, and in octal each byte that is not printable. Returns how many columns it takes. */
int print_printable(FILE *out, const char *text);
