/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of internal snapshots: entries of variable length, one behind the other.
 */
#include "qcow2.h"

#include "bytes.h"

#include <errno.h>
#include <string.h>

/* The fixed part of an entry, and offsets in it. */
#define ENTRY_SIZE 40

enum {
	AT_ID_LENGTH = 12,
	AT_NAME_LENGTH = 14,
	AT_EXTRA_LENGTH = 36,
};

int qcow2_check_snapshots(struct qcow2 *q, struct imgfmt_error *reterr)
{
	uint64_t length = 0;

	for (uint32_t i = 0; i < q->header.snapshot_count; i++) {
		uint8_t entry[ENTRY_SIZE];
		uint32_t extra;
		int r;

		length = align_up(length, 8);
		r = hostfile_read(q->file, entry, sizeof(entry), q->header.snapshots_offset + length);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "cannot read the snapshot table: %s",
						strerror(-r));
		extra = get_be32(entry + AT_EXTRA_LENGTH);
		if (extra > QCOW2_MAX_SNAPSHOT_EXTRA)
			return imgfmt_error_set(reterr, -EINVAL,
						"snapshot %u has %u bytes of extra data, more than %u",
						i, extra, QCOW2_MAX_SNAPSHOT_EXTRA);
		length += sizeof(entry) + extra + get_be16(entry + AT_ID_LENGTH) +
			  get_be16(entry + AT_NAME_LENGTH);
		if (length > QCOW2_MAX_SNAPSHOT_BYTES)
			return imgfmt_error_set(reterr, -EINVAL,
						"the snapshot table is larger than %u MiB",
						(unsigned int)(QCOW2_MAX_SNAPSHOT_BYTES >> 20));
	}
	q->snapshots_length = length;
	return 0;
}
