/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formats that we know and cannot open. A file of such a format is no disk by itself: served as raw
 * it would show tables in place of the disk's content, and a write would destroy it. So their
 * drivers consist of a probe, and the core refuses them by name.
 *
 * A LUKS header is not among them: it is what an encrypted disk legitimately begins with.
 */
#include "drivers.h"

#include <string.h>

#define VDI_SIGNATURE_AT 0x40

/* Does the sample hold the @count bytes of @magic at @offset? */
static int magic_at(const struct imgfmt_sample *sample, size_t offset, const void *magic,
		    size_t count)
{
	return memcmp(sample->head + offset, magic, count) == 0 ? 100 : 0;
}

/* The magic bytes of a string literal at the beginning of the file. */
#define BEGINS_WITH(sample, magic) magic_at(sample, 0, magic, sizeof(magic) - 1)

static int vmdk_probe(const struct imgfmt_sample *sample)
{
	if (BEGINS_WITH(sample, "KDMV") || BEGINS_WITH(sample, "COWD"))
		return 100;
	return BEGINS_WITH(sample, "# Disk DescriptorFile");
}

static int vhdx_probe(const struct imgfmt_sample *sample)
{
	return BEGINS_WITH(sample, "vhdxfile");
}

/* Dynamic and differencing ones begin with it; a fixed one is a raw disk with a footer. */
static int vpc_probe(const struct imgfmt_sample *sample)
{
	return BEGINS_WITH(sample, "conectix");
}

static int vdi_probe(const struct imgfmt_sample *sample)
{
	static const uint8_t signature[] = { 0x7f, 0x10, 0xda, 0xbe };

	return magic_at(sample, VDI_SIGNATURE_AT, signature, sizeof(signature));
}

static int qed_probe(const struct imgfmt_sample *sample)
{
	return BEGINS_WITH(sample, "QED\0");
}

static int parallels_probe(const struct imgfmt_sample *sample)
{
	if (BEGINS_WITH(sample, "WithoutFreeSpace"))
		return 100;
	return BEGINS_WITH(sample, "WithouFreSpacExt");
}

const struct imgfmt_driver imgfmt_vmdk_driver = {
	.name = "vmdk",
	.description = "VMware (VMDK)",
	.probe = vmdk_probe,
};

const struct imgfmt_driver imgfmt_vhdx_driver = {
	.name = "vhdx",
	.description = "Hyper-V (VHDX)",
	.probe = vhdx_probe,
};

const struct imgfmt_driver imgfmt_vpc_driver = {
	.name = "vpc",
	.description = "Virtual PC (VHD)",
	.probe = vpc_probe,
};

const struct imgfmt_driver imgfmt_vdi_driver = {
	.name = "vdi",
	.description = "VirtualBox (VDI)",
	.probe = vdi_probe,
};

const struct imgfmt_driver imgfmt_qed_driver = {
	.name = "qed",
	.description = "QED",
	.probe = qed_probe,
};

const struct imgfmt_driver imgfmt_parallels_driver = {
	.name = "parallels",
	.description = "Parallels",
	.probe = parallels_probe,
};
