/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of format drivers, and finding one by its name. */
#include "drivers.h"

#include <string.h>

const struct imgfmt_driver *const imgfmt_drivers[] = {
	&imgfmt_qcow2_driver, &imgfmt_qcow1_driver,
	&imgfmt_vmdk_driver,  &imgfmt_vhdx_driver,
	&imgfmt_vpc_driver,   &imgfmt_vdi_driver,
	&imgfmt_qed_driver,   &imgfmt_parallels_driver,
	&imgfmt_raw_driver,   NULL,
};

const struct imgfmt_driver *imgfmt_find_driver(const char *name)
{
	for (unsigned int i = 0; imgfmt_drivers[i]; i++)
		if (strcmp(imgfmt_drivers[i]->name, name) == 0)
			return imgfmt_drivers[i];
	return NULL;
}

static const struct imgfmt_driver *openable_driver(unsigned int index)
{
	for (unsigned int i = 0; imgfmt_drivers[i]; i++)
		if (imgfmt_drivers[i]->open && index-- == 0)
			return imgfmt_drivers[i];
	return NULL;
}

const char *imgfmt_format_name(unsigned int index)
{
	const struct imgfmt_driver *driver = openable_driver(index);

	return driver ? driver->name : NULL;
}

const char *imgfmt_format_description(unsigned int index)
{
	const struct imgfmt_driver *driver = openable_driver(index);

	return driver ? driver->description : NULL;
}
