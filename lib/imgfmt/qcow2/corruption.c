/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens when a table turns out to contradict itself while the image is in use: it is said
 * once, the image is marked in its header so that everybody knows, and nothing is written to it
 * any more but what was accepted before. That a file is too short for what the tables say is said
 * once, and no more: nobody can do better than to read zeroes there.
 */
#include "qcow2.h"

#include "bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * Set the bit. That this fails is no further harm: whoever opens the image finds the same again.
 * Where a sync has failed, what we read may be what the host has lost: no fault of the image, in
 * which nothing that is durable leads there.
 */
static void mark_header(struct qcow2 *q)
{
	uint8_t field[8];

	if (q->header.version < 3 || hostfile_sync(q->file) < 0)
		return;
	q->header.incompatible |= QCOW2_INCOMPATIBLE_CORRUPT;
	put_be64(field, q->header.incompatible);
	(void)qcow2_write_header(q, field, sizeof(field), QCOW2_AT_INCOMPATIBLE);
}

int qcow2_corrupt(struct qcow2 *q, const char *format, ...)
{
	struct imgfmt_image *image = q->image;
	char what[256];
	va_list arguments;

	if (q->corrupt)
		return -EUCLEAN;
	q->corrupt = true;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	imgfmt_warn(image, "%s: is corrupt: %s%s", image->path, what,
		    image->read_only ? "" : "; it is read-only from now on");
	if (!image->read_only) {
		image->damaged = true;
		mark_header(q);
	}
	return -EUCLEAN;
}

void qcow2_check_end(struct qcow2 *q, enum qcow2_which_file which, uint64_t host_offset,
		     uint64_t clusters, uint64_t guest_offset)
{
	const struct qcow2_geometry *geometry = &q->geometry;
	struct hostfile *file = which == QCOW2_DATA_FILE ? qcow2_data(q) : q->file;
	uint64_t *end = which == QCOW2_DATA_FILE ? &q->data_end : &q->file_end;
	uint64_t last = host_offset + offset_of(geometry, clusters - 1);

	/* Entries may be left behind the end of the disk, which nobody reads. */
	if (guest_offset >= q->image->size)
		return;
	/* Nobody else makes it shorter meanwhile, so it need not be asked again. */
	if (last < *end || q->cut_short || hostfile_size(file, end) < 0 || last < *end)
		return;
	q->cut_short = true;
	guest_offset = align_down(guest_offset, geometry->cluster_size);
	if (host_offset < *end)
		guest_offset += align_up(*end, geometry->cluster_size) - host_offset;
	imgfmt_warn(q->image,
		    "%s: was cut short: its %sfile ends before what guest offset 0x%" PRIx64
		    " needs; what is missing reads as zeroes",
		    q->image->path, file == q->file ? "" : "data ", guest_offset);
}
