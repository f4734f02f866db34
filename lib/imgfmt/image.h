/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One open image, and the locks around it. Private to lib/imgfmt.
 *
 * Locks, in the order in which they may be taken: use, head, then the driver's own. The images
 * below the top are never written, truncated or closed while it is open: only their drivers lock.
 */
#pragma once

#include "driver.h"
#include "grace.h"

#include <pthread.h>

struct imgfmt_image {
	const struct imgfmt_driver *driver;
	void *state;                  /* the driver's own, state_size bytes */
	struct hostfile *file;        /* the image file, locked */
	struct hostfile *data_file;   /* the external data file, locked, or NULL */
	struct imgfmt_image *backing; /* the next of the chain, or NULL; read-only */
	char *path;                   /* for messages */
	bool read_only;
	bool describe_only;   /* its content must not be asked for */
	bool detected;        /* nobody stated the format */
	bool keep_space;      /* freed host space is not given back */
	_Atomic bool damaged; /* the driver found a contradiction: no writes any more */
	void (*warn)(void *userdata, const char *message); /* may be NULL */
	void *userdata;

	/* set by the driver: in open, and with "use" held exclusively in truncate */
	_Atomic uint64_t size; /* of the disk, in bytes */
	uint64_t granule;      /* what zero works in, in bytes: a (sub)cluster, or 1 */
	uint64_t unit;         /* what is allocated at once, in bytes: a cluster, or 1 */
	char *backing_name;    /* as the image spells it, or NULL; malloc'ed */
	char *backing_format;  /* as the image states it, or NULL; malloc'ed */
	bool has_data_file;    /* guest data lies in a file of its own: the core opens it */
	char *data_file_name;  /* as the image spells it, or NULL; malloc'ed */

	pthread_rwlock_t use; /* shared by every request, exclusive for truncate */
	pthread_mutex_t head; /* one write at a time to what a probe looks at, if detected as raw */
	struct grace grace;   /* which requests may still use a host offset */
};

/* Tell the user something that is no error; a line without a newline. */
void imgfmt_warn(struct imgfmt_image *image, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- map.c ---- */

/* What a guest byte is, seen through the whole chain. */
struct map_extent {
	struct imgfmt_image *image;  /* the image of the chain that stores it; NULL: it is zero */
	struct driver_extent extent; /* DATA or ENCODED where image is set; length always */
	bool unallocated;            /* the image asked stores nothing of its own there */
	uint64_t work;               /* what it took to find out, in the whole chain */
};

/*
 * Find the longest run from @guest_offset, at most @length, that is stored in one way, in @image or
 * below it. Needs image->use held shared, and a grace period entered.
 */
int map_range(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	      struct map_extent *ret);
