/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The qcow2 header and its extensions: bytes to a struct. Pure: no I/O, no allocation that
 * outlives qcow2_header_finish(), nothing but what the bytes say.
 *
 * Fields that must be looked at together with the host file (does a table lie inside it?) are
 * the driver's business; everything else that the specification or QEMU refuses is refused here.
 */
#pragma once

#include "../imgfmt.h"
#include "ondisk.h"

struct qcow2_header {
	uint32_t version; /* 2 or 3 */
	uint32_t cluster_bits;
	uint64_t size; /* of the disk in bytes, as stored: not rounded */
	uint32_t crypt_method;
	uint32_t l1_size; /* entries */
	uint64_t l1_offset;
	uint64_t reftable_offset;
	uint32_t reftable_clusters;
	uint32_t snapshot_count;
	uint64_t snapshots_offset;
	uint64_t incompatible, compatible, autoclear; /* 0 in version 2 */
	uint32_t refcount_order;                      /* 4 in version 2 */
	uint32_t header_length;                       /* 72 in version 2 */
	uint8_t compression_type;

	char *backing_name;   /* or NULL; NUL-terminated */
	char *backing_format; /* or NULL */
	char *data_file_name; /* or NULL */
	bool has_bitmaps;     /* the extension is there */
	uint32_t bitmap_count;
	uint64_t bitmap_directory_offset, bitmap_directory_size;
	bool has_luks;
	uint64_t luks_offset, luks_length;
};

/*
 * How many bytes from the start of the file qcow2_header_parse() wants to see: the first cluster.
 * @bytes holds the first QCOW2_HEADER_LENGTH_V2 at least. Checks only what it needs: magic,
 * version, cluster_bits.
 */
int qcow2_header_extent(const uint8_t *bytes, size_t *ret_length, struct imgfmt_error *reterr);

/*
 * Parse the first cluster of the file, @count bytes (shorter where the file is shorter; the rest
 * counts as zeroes). Returns 0; -EINVAL where the bytes contradict the specification, -ENOTSUP for
 * a feature that is not known by name or at all (named through the feature name table), both with
 * @reterr. On success the strings of *ret are malloc'ed.
 *
 * Does not judge features that it knows (encryption, data files, dirty, corrupt): the driver does.
 */
int qcow2_header_parse(const uint8_t *bytes, size_t count, struct qcow2_header *ret,
		       struct imgfmt_error *reterr);

/* Free the strings. */
void qcow2_header_finish(struct qcow2_header *header);
