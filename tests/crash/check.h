/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A checker of qcow2 images in memory, fast enough for a hundred thousand of them. It shares no
 * code with the library, and finds what qemu-img check finds; qemu.h compares the two.
 */
#pragma once

#include "memfile.h"

#include <stdbool.h>

struct check_result {
	uint64_t errors;
	uint64_t leaks; /* clusters whose refcount is higher than the references to them */
	char text[160]; /* the first error */
};

void check_image(const struct memfile *file, struct check_result *ret);

/*
 * Count the references to each host cluster: *ret is an array of as many as the file has
 * clusters, and becomes the caller's. Refcounts are not looked at.
 */
void check_count(const struct memfile *file, uint32_t **ret, uint64_t *ret_count);

/* The refcount on disk of a host cluster; 0 where there is none. For images without errors. */
uint64_t check_refcount(const struct memfile *file, uint64_t host_cluster);

/* The autoclear feature that a writer keeps. */
#define AUTOCLEAR_DATA_RAW UINT64_C(2)

/* The autoclear features: 0 in version 2. */
uint64_t check_autoclear(const struct memfile *file);
