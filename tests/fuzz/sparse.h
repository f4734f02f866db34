/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes in memory that are zero wherever nothing was put, so that a file of many TiB takes what is
 * in it and no more. Zero-initialize; any offset may be used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPARSE_PAGE 4096u

struct sparse_page;

struct sparse {
	struct sparse_page **slots; /* a hash by number */
	size_t slot_count;
	size_t page_count;
};

/* -ENOSPC where it would be more than @limit pages, -ENOMEM: then a part may have been put. */
int sparse_put(struct sparse *sparse, const void *bytes, size_t count, uint64_t offset,
	       size_t limit);

void sparse_get(const struct sparse *sparse, void *bytes, size_t count, uint64_t offset);

/* Make a range zero, which never fails. */
void sparse_clear(struct sparse *sparse, uint64_t offset, uint64_t length);

/* How far there are only pages, or no page, from @offset on, at most @length. */
void sparse_status(const struct sparse *sparse, uint64_t offset, uint64_t length, bool *ret_data,
		   uint64_t *ret_length);

void sparse_finish(struct sparse *sparse);
