/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UTF-8, and what of it is for people; see printable.h. */
#include "printable.h"

#include "array.h"

#include <stddef.h>

unsigned int utf8_character(const char *text, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned int length;
	uint32_t code;

	if (bytes[0] < 0x80) {
		*ret_code = bytes[0];
		return 1;
	}
	if (bytes[0] < 0xc2 || bytes[0] > 0xf4)
		return 0;
	length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
	code = bytes[0] & (0x7fU >> length);
	for (unsigned int i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return length;
}

bool is_printable(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{ 0, 0x1f },        /* C0 */
		{ 0x7f, 0x9f },     /* DEL, and C1: what an escape sequence can begin with, too */
		{ 0x61c, 0x61c },   /* Arabic letter mark */
		{ 0x200e, 0x200f }, /* left-to-right and right-to-left mark */
		{ 0x2028, 0x202e }, /* line and paragraph separator, embeddings and overrides */
		{ 0x2066, 0x2069 }, /* isolates */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(hidden); i++)
		if (code >= hidden[i].first && code <= hidden[i].last)
			return false;
	return true;
}

unsigned int printable_length(const char *text, bool *ret_printable)
{
	uint32_t code;
	unsigned int length = utf8_character(text, &code);

	*ret_printable = length > 0 && is_printable(code);
	return length > 0 ? length : 1;
}

int print_printable(FILE *out, const char *text)
{
	unsigned int length;
	bool printable;
	int columns = 0;

	for (const char *c = text; *c; c += length) {
		length = printable_length(c, &printable);
		if (printable)
			fwrite(c, 1, length, out);
		for (unsigned int i = 0; i < length && !printable; i++)
			fprintf(out, "\\%03o", (unsigned char)c[i]);
		columns += printable ? 1 : 4 * (int)length;
	}
	return columns;
}
