/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What comes before the first write, and changing single fields of the header in place. Everything
 * else in the first cluster stays as it is to the byte: fields and extensions that we do not know
 * are preserved by not touching them.
 */
#include "qcow2.h"

#include "bytes.h"

int qcow2_write_header(struct qcow2 *q, const uint8_t *bytes, size_t count, uint64_t offset)
{
	int r;

	r = hostfile_write(q->file, bytes, count, offset);
	return r < 0 ? r : hostfile_sync(q->file);
}

int qcow2_start_writing(struct qcow2 *q)
{
	/* Neither unknown features nor bitmaps are kept up to date by us: say so first. */
	uint64_t kept = q->header.autoclear & QCOW2_AUTOCLEAR_DATA_RAW;
	uint8_t field[8];
	int r;

	if (q->writing)
		return 0;
	r = qcow2_collect_tables(q);
	if (r < 0)
		return r;
	if (q->header.autoclear != kept) {
		put_be64(field, kept);
		r = qcow2_write_header(q, field, sizeof(field), QCOW2_AT_AUTOCLEAR);
		if (r < 0) {
			/* The next try collects them anew. */
			run_set_finish(&q->tables);
			return r;
		}
		q->header.autoclear = kept;
	}
	q->writing = true;
	return 0;
}
