/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens when a table turns out to contradict itself while the image is in use: it is said
 * once, the image is marked in its header so that everybody knows, and nothing is written to it
 * any more but what was accepted before.
 */
#include "qcow2.h"

#include "bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * Set the bit. That this fails is no further harm: whoever opens the image finds the same again. Where
 * a sync has failed, what we read may be what the host has lost: no fault of the image, in which
 * nothing that is durable leads there.
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
