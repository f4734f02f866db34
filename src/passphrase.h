/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The passphrase of an encrypted image. It comes from a file, never from the command line, where
 * every user could see it; and it is wiped from memory after use.
 */
#pragma once

#include "imgfmt.h"

#define PASSPHRASE_MAX 1024

struct passphrase {
	char text[PASSPHRASE_MAX + 1];
};

/*
 * Read the file at @path, "-" for standard input. One newline at its end does not count. Returns 0
 * or -errno with words.
 */
int passphrase_read(struct passphrase *passphrase, const char *path, struct imgfmt_error *reterr);

void passphrase_wipe(struct passphrase *passphrase);
