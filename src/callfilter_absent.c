/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build without libseccomp has no filter. */
#include "callfilter.h"

#include <errno.h>

int callfilter_load(void)
{
	return -ENOSYS;
}

unsigned int callfilter_count(void)
{
	return 0;
}
