/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QCOW version 1 where libqcow is missing: known by name, so that it is refused by name. */
#include "drivers.h"

static int qcow1_probe(const struct imgfmt_sample *sample)
{
	return imgfmt_probe_qcow(sample, true);
}

const struct imgfmt_driver imgfmt_qcow1_driver = {
	.name = "qcow",
	.description = "QCOW version 1",
	.probe = qcow1_probe,
};
