/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clusters encrypted with QEMU's old AES scheme, in QCOW version 1 and qcow2 alike. libqcow
 * decrypts; without it aes_absent.c stands in.
 *
 * A sector of 512 bytes is encrypted for itself, with its number on the guest's disk. Where it lies
 * is the driver's business, and no hostile byte but those of sectors reaches libqcow. A wrong
 * passphrase gives garbage: nothing in such an image tells which is the right one.
 */
#pragma once

#include "hostfile.h"

struct aes;

/*
 * Get ready to read an image with a disk of @size bytes, of which no piece that is stored by itself
 * is smaller than @granule, a power of two from 512 on. -ENOTSUP, -EACCES where options->passphrase
 * is missing, and others, with words.
 */
int aes_open(const struct imgfmt_open_options *options, uint64_t size, uint64_t granule,
	     struct aes **ret, struct imgfmt_error *reterr);

/* NULL is allowed. */
void aes_close(struct aes *aes);

/*
 * Read @count bytes at @guest_offset that lie encrypted at @host_offset of @file, in whole granules
 * one behind the other. What is missing at the end of the file counts as zeroes, as with QEMU,
 * which are decrypted like all else. From any thread; they take turns. 0 or -errno.
 */
int aes_read(struct aes *aes, struct hostfile *file, void *buffer, size_t count,
	     uint64_t guest_offset, uint64_t host_offset);
