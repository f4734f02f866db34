/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image is, in words for people and for machines, down the backing chain.
 */
#pragma once

#include "imgfmt.h"

#include <stdint.h>
#include <stdio.h>

/* A size in three digits and a binary unit, as qemu-img writes it: "20 GiB", "1.5 MiB". */
struct human_size {
	char text[32];
};

struct human_size human_size(uint64_t bytes);

/* Print @image, which the user calls @name, and every image below it, as qemu-img info does. */
void info_print(FILE *out, struct imgfmt_image *image, const char *name);

/* The same as one JSON object; the image below it is its member "backing-image". */
void info_print_json(FILE *out, struct imgfmt_image *image, const char *name);
