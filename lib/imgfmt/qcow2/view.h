/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first cluster of a qcow2 file as its header is read from it. Private to header.c and
 * extension.c.
 *
 * Any offset may be asked for: behind the end of a short file there are zeroes.
 */
#pragma once

#include "align.h"
#include "bytes.h"
#include "imgfmt.h"

#include <errno.h>
#include <stdlib.h>

/* Say why the bytes contradict the specification, and return -EINVAL. */
#define refuse(reterr, ...) imgfmt_error_set(reterr, -EINVAL, __VA_ARGS__)

struct view {
	const uint8_t *bytes;
	size_t count;
};

static inline void view_copy(const struct view *view, uint64_t at, void *ret, size_t length)
{
	size_t there = 0;

	if (at < view->count)
		there = (size_t)min_u64(length, view->count - at);
	if (there)
		memcpy(ret, view->bytes + at, there);
	memset((char *)ret + there, 0, length - there);
}

static inline uint32_t view_be32(const struct view *view, uint64_t at)
{
	uint8_t bytes[4];

	view_copy(view, at, bytes, sizeof(bytes));
	return get_be32(bytes);
}

static inline uint64_t view_be64(const struct view *view, uint64_t at)
{
	uint8_t bytes[8];

	view_copy(view, at, bytes, sizeof(bytes));
	return get_be64(bytes);
}

/*
 * Copy a string that ends after @length bytes or at a NUL. Returns 0 with a malloc'ed string in
 * *ret, or with *ret as it was where the string is empty; or -ENOMEM.
 */
static inline int view_string(const struct view *view, uint64_t at, size_t length, char **ret)
{
	char *string = malloc(length + 1);

	if (!string)
		return -ENOMEM;
	view_copy(view, at, string, length);
	string[length] = '\0';
	if (string[0] == '\0') {
		free(string);
		return 0;
	}
	*ret = string;
	return 0;
}
