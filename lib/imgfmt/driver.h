/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contract between the core and a format driver.
 *
 * A driver answers where guest bytes lie; the core moves them. A driver never reads its backing
 * image, never copies on write, never opens a file: by what it returns it says that somebody
 * must. Only contract.c calls these functions, and checks both sides of every call; but for probe,
 * which probe.c asks. They are called from many threads at once.
 *
 * Ranges given to a driver lie inside the disk and are not empty. Members that may be NULL say
 * what NULL means; there are no other questions about what a driver can do.
 */
#pragma once

#include "hostfile.h"
#include "imgfmt.h"

/* The beginning of a file, as a probe sees it. Shorter files are padded with zeroes. */
#define IMGFMT_SAMPLE_SIZE 512

struct imgfmt_sample {
	uint8_t head[IMGFMT_SAMPLE_SIZE];
	uint64_t size; /* of the file, in bytes */
};

enum driver_extent_kind {
	DRIVER_DATA,        /* plain bytes in a host file */
	DRIVER_ZERO,        /* zeroes, whatever a backing image holds */
	DRIVER_ENCODED,     /* ask read_encoded for the bytes */
	DRIVER_UNALLOCATED, /* what the backing image holds, or zeroes */
};

/* A run of guest bytes from the offset asked for that is stored in one way. */
struct driver_extent {
	enum driver_extent_kind kind;
	uint64_t length;       /* at least 1, at most what was asked for */
	struct hostfile *file; /* DATA: where */
	uint64_t host_offset;  /* DATA: of the first byte */
	uint64_t work;         /* how many entries of tables it took to find out, roughly */
};

struct driver_allocation; /* a driver's own record of a write that is under way */

/* Where the caller of write_begin puts data. */
struct driver_write {
	uint64_t guest_offset;
	uint64_t length; /* what may be written: from guest_offset on, at most what was asked */
	struct hostfile *file;
	uint64_t host_offset; /* of the byte at guest_offset */
	/*
	 * With new space: so many guest bytes before and behind the range share its clusters. The
	 * caller puts there what the guest reads there now.
	 */
	uint64_t head, tail;
	bool fresh;                           /* the new space reads as zeroes already */
	struct driver_allocation *allocation; /* NULL: the driver need not know when it ends */
};

struct imgfmt_driver {
	const char *name; /* what --format takes */
	const char *description;
	size_t state_size;  /* of image->state, zeroed before open and freed after close */
	bool has_snapshots; /* open heeds options->snapshot */

	/* How sure the driver is that the file is its own: 0 not at all ... 100. Pure, no I/O. */
	int (*probe)(const struct imgfmt_sample *sample);

	/*
	 * Read what describes the image from image->file, which is locked. Sets image->size and
	 * what else of "set by the driver" in image.h applies. close is called only after success.
	 * NULL: the format is known by name only, so that it can be refused by name.
	 */
	int (*open)(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		    struct imgfmt_error *reterr);

	/* Free what the state holds. Whoever wants to lose nothing has called flush before. */
	void (*close)(struct imgfmt_image *image);

	/*
	 * A run from @guest_offset, at most @length, that is stored in one way. What follows may be
	 * stored alike: an answer takes bounded time, and who wants to know more asks again.
	 */
	int (*map)(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		   struct driver_extent *ret);

	/*
	 * Bytes that map called ENCODED. -EAGAIN: they are not any more, ask map again. NULL:
	 * there are none.
	 */
	int (*read_encoded)(struct imgfmt_image *image, void *buffer, size_t count,
			    uint64_t guest_offset);

	/*
	 * Find host space for a write. Blocks while another write allocates the same guest
	 * clusters, or somebody waits to zero them (I4). With ret->allocation set, the caller must
	 * call write_end, however the write ended; also where nothing was allocated. NULL: the
	 * format cannot be written.
	 */
	int (*write_begin)(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
			   struct driver_write *ret);

	/*
	 * The data is in place (@result 0): link it into the tables. Or it is not (@result < 0):
	 * drop the space. Returns @result, or why linking failed; the space is dropped then. NULL
	 * only if write_begin never sets ret->allocation.
	 */
	int (*write_end)(struct imgfmt_image *image, struct driver_write *write, int result);

	/*
	 * Make as much of a range read as zeroes as can be done without writing data, beginning
	 * at its first byte. The range begins at a granule, and ends at one or at the end of the
	 * disk. Sets *ret_length to how many bytes that were, whole granules: 0 where the format
	 * cannot do it there; the core writes zeroes then. Blocks until writes to the same clusters
	 * have ended (I4), so not to be called before one's own has. NULL: always 0.
	 */
	int (*zero)(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		    enum imgfmt_zero_mode mode, uint64_t *ret_length);

	/* Hand tables to the host in an order that a crash survives. NULL: there are no tables. */
	int (*writeback)(struct imgfmt_image *image);

	/* Make data and tables durable. NULL: syncing image->file does. */
	int (*flush)(struct imgfmt_image *image);

	/*
	 * Set image->size. The caller excludes all other requests, makes new space read as zeroes
	 * where it does not, and then calls flush: only that may make the new size durable. NULL:
	 * it cannot change.
	 */
	int (*truncate)(struct imgfmt_image *image, uint64_t size);

	/* See imgfmt_get_snapshot(). NULL: there are none. */
	int (*get_snapshot)(struct imgfmt_image *image, unsigned int index,
			    struct imgfmt_snapshot *ret);

	/* Add features and cluster_size to @info. NULL: there are none. */
	void (*describe)(struct imgfmt_image *image, struct imgfmt_info *info);
};

/* ---- contract.c: a function for each member, with the same meaning ---- */

int driver_open(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		struct imgfmt_error *reterr);
void driver_close(struct imgfmt_image *image);
int driver_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       struct driver_extent *ret);
int driver_read_encoded(struct imgfmt_image *image, void *buffer, size_t count,
			uint64_t guest_offset);
int driver_write_begin(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		       struct driver_write *ret);
int driver_write_end(struct imgfmt_image *image, struct driver_write *write, int result);
int driver_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		enum imgfmt_zero_mode mode, uint64_t *ret_length);
int driver_writeback(struct imgfmt_image *image);
int driver_flush(struct imgfmt_image *image);
int driver_truncate(struct imgfmt_image *image, uint64_t size);
int driver_get_snapshot(struct imgfmt_image *image, unsigned int index,
			struct imgfmt_snapshot *ret);
void driver_describe(struct imgfmt_image *image, struct imgfmt_info *info);

/* ---- drivers.c and probe.c ---- */

/* Every driver, the raw one last; NULL ends the table. */
extern const struct imgfmt_driver *const imgfmt_drivers[];

/* The driver called @name, or NULL. */
const struct imgfmt_driver *imgfmt_find_driver(const char *name);

/* The driver that is surest of the sample; the raw driver takes what nobody wants. */
const struct imgfmt_driver *imgfmt_probe(const struct imgfmt_sample *sample);

/* Read the sample of @file. */
int imgfmt_take_sample(struct hostfile *file, struct imgfmt_sample *ret);
