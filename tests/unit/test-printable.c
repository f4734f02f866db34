/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a terminal would obey, or be deceived by, is not shown to it; letters of all scripts are. */
#include "printable.h"

#include "test.h"

static const struct {
	const char *text;
	const char *shown;
	int columns;
} rows[] = {
	{ "", "", 0 },
	{ "disk 1~.qcow2", "disk 1~.qcow2", 13 },
	{ "\303\244\316\261\327\220\344\270\255\360\237\230\200",
	  "\303\244\316\261\327\220\344\270\255\360\237\230\200", 5 },
	{ "\302\240", "\302\240", 1 }, /* the first behind C1 */
	{ "a\001\033[m\n\177", "a\\001\\033[m\\012\\177", 19 },
	{ "\302\200\302\233m\302\237", "\\302\\200\\302\\233m\\302\\237", 25 },
	{ "\200\233m\237\351", "\\200\\233m\\237\\351", 17 },
	{ "\330\234", "\\330\\234", 8 },                                      /* U+061C */
	{ "\342\200\215", "\342\200\215", 1 },                                /* U+200D */
	{ "\342\200\216\342\200\217", "\\342\\200\\216\\342\\200\\217", 24 }, /* U+200E, F */
	{ "\342\200\250", "\\342\\200\\250", 12 },                            /* U+2028 */
	{ "\342\200\256", "\\342\\200\\256", 12 },                            /* U+202E */
	{ "\342\201\246\342\201\251", "\\342\\201\\246\\342\\201\\251", 24 }, /* U+2066, 9 */
	{ "\342\201\252", "\342\201\252", 1 },                                /* U+206A */
	/* no characters: too long for what they are, a surrogate, too large, cut off */
	{ "\300\233", "\\300\\233", 8 },
	{ "\340\202\233", "\\340\\202\\233", 12 },
	{ "\355\240\200", "\\355\\240\\200", 12 },
	{ "\364\220\200\200", "\\364\\220\\200\\200", 16 },
	{ "\342\200", "\\342\\200", 8 },
	{ "\342\200x", "\\342\\200x", 9 },
};

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *shown = NULL;
		size_t length;
		FILE *out = open_memstream(&shown, &length);

		CHECK(out);
		CHECK_EQUAL(print_printable(out, rows[i].text), rows[i].columns);
		CHECK(fclose(out) == 0);
		if (strcmp(shown, rows[i].shown) != 0)
			test_failed(__FILE__, __LINE__, "row %zu shows '%s', not '%s'", i, shown,
				    rows[i].shown);
		free(shown);
	}
	return 0;
}
