/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The extensions behind the qcow2 header. Pure, like header.h, and used by header.c only.
 */
#pragma once

#include "header.h"
#include "view.h"

/* Where extensions lie, in the first cluster. */
struct extension_area {
	const struct view *view;
	uint64_t begin; /* the end of the header */
	uint64_t end;   /* where the backing file name or the second cluster begins */
};

/*
 * Parse all extensions into @header, whose fields are parsed already. Unknown ones are skipped.
 * Returns 0, or -EINVAL with @reterr, or -ENOMEM; strings of @header may be set then too.
 */
int extension_parse_all(const struct extension_area *area, struct qcow2_header *header,
			struct imgfmt_error *reterr);

/*
 * Write a list of the incompatible features @bits into @text of @capacity bytes, in the words of
 * the feature name table, or as "bit 17" where it has none or cannot be found.
 */
void extension_name_features(const struct extension_area *area, uint64_t bits, char *text,
			     size_t capacity);
