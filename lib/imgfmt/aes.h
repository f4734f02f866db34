/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clusters encrypted with QEMU's old AES scheme, in QCOW version 1 and qcow2 alike, read through
 * libqcow. aes.c needs it; without libqcow aes_absent.c stands in.
 *
 * libqcow is only asked for clusters that the driver's own tables call plain and allocated: it
 * knows neither backing files nor zero clusters. And it is never asked without a passphrase, or for
 * another encryption: it would answer with garbage and no error. A wrong passphrase gives garbage
 * too: nothing in such an image tells which is the right one.
 */
#pragma once

#include "hostfile.h"

struct aes;

/*
 * Get ready to read the image in @file, which stays the caller's and must stay open. -ENOTSUP,
 * -EACCES where options->passphrase is missing, and others, with words.
 */
int aes_open(struct hostfile *file, const struct imgfmt_open_options *options, struct aes **ret,
	     struct imgfmt_error *reterr);

/* NULL is allowed. */
void aes_close(struct aes *aes);

/* Read plain bytes. From any thread; they take turns. */
int aes_read(struct aes *aes, void *buffer, size_t count, uint64_t guest_offset);
