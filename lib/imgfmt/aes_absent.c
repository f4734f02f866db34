/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of aes.c where libqcow is missing: encrypted images are refused by name. */
#include "aes.h"

#include <errno.h>

int aes_open(const struct imgfmt_open_options *options, uint64_t size, uint64_t granule,
	     struct aes **ret, struct imgfmt_error *reterr)
{
	(void)options;
	(void)size;
	(void)granule;
	(void)ret;
	return imgfmt_error_set(
		reterr, -ENOTSUP,
		"it is encrypted with AES, and this program was built without libqcow");
}

void aes_close(struct aes *aes)
{
	(void)aes;
}

int aes_read(struct aes *aes, struct hostfile *file, void *buffer, size_t count,
	     uint64_t guest_offset, uint64_t host_offset)
{
	(void)aes;
	(void)file;
	(void)buffer;
	(void)count;
	(void)guest_offset;
	(void)host_offset;
	return -ENOTSUP;
}
