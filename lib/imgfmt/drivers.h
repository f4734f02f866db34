/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every format driver, each defined in the file of its name. Private to lib/imgfmt.
 */
#pragma once

#include "driver.h"

extern const struct imgfmt_driver imgfmt_qcow2_driver;
extern const struct imgfmt_driver imgfmt_qcow1_driver;
extern const struct imgfmt_driver imgfmt_raw_driver;

/* foreign.c: known by name only, so that they are refused instead of served as raw */
extern const struct imgfmt_driver imgfmt_vmdk_driver;
extern const struct imgfmt_driver imgfmt_vhdx_driver;
extern const struct imgfmt_driver imgfmt_vpc_driver;
extern const struct imgfmt_driver imgfmt_vdi_driver;
extern const struct imgfmt_driver imgfmt_qed_driver;
extern const struct imgfmt_driver imgfmt_parallels_driver;

/* What QCOW images of all versions begin with: "QFI\xfb". */
#define QCOW_MAGIC UINT32_C(0x514649fb)

/* A score for images that begin with it and have, or not, version 1. */
int imgfmt_probe_qcow(const struct imgfmt_sample *sample, bool version_1);
