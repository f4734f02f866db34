/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AES-encrypted clusters through libqcow; see aes.h. */
#include "aes.h"

#include "cleanup.h"
#include "lock.h"

#include <errno.h>
#include <libqcow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct aes {
	pthread_mutex_t turn; /* libqcow is not made for threads */
	libqcow_file_t *file;
};

void aes_close(struct aes *aes)
{
	if (!aes)
		return;
	libqcow_file_free(&aes->file, NULL);
	pthread_mutex_destroy(&aes->turn);
	free(aes);
}

DEFINE_CLEANUP(struct aes, close_pointee_aes, aes_close);

/* What libqcow says of an error, in one line. */
static void describe(libqcow_error_t *error, char *text, size_t capacity)
{
	if (!error || libqcow_error_sprint(error, text, capacity) <= 0)
		snprintf(text, capacity, "libqcow does not say why");
	text[strcspn(text, "\n")] = '\0';
	libqcow_error_free(&error);
}

/*
 * libqcow opens by name. This name means the file behind the descriptor, wherever it is and
 * whatever is mounted over it.
 */
static int open_by_name(struct aes *aes, struct hostfile *file, libqcow_error_t **error)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", hostfile_descriptor(file));
	return libqcow_file_open(aes->file, name, LIBQCOW_OPEN_READ, error);
}

int aes_open(struct hostfile *file, const struct imgfmt_open_options *options, struct aes **ret,
	     struct imgfmt_error *reterr)
{
	CLEANUP(close_pointee_aes) struct aes *aes = NULL;
	libqcow_error_t *error = NULL;
	char text[256];

	if (!options->passphrase)
		return imgfmt_error_set(
			reterr, -EACCES,
			"it is encrypted with AES: it needs a passphrase (--passphrase-file=FILE)");
	aes = calloc(1, sizeof(*aes));
	if (!aes)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	pthread_mutex_init(&aes->turn, NULL);
	if (libqcow_file_initialize(&aes->file, &error) == 1 &&
	    libqcow_file_set_utf8_password(aes->file, (const uint8_t *)options->passphrase,
					   strlen(options->passphrase), &error) == 1 &&
	    open_by_name(aes, file, &error) == 1) {
		*ret = steal_ptr(aes);
		return 0;
	}
	describe(error, text, sizeof(text));
	return imgfmt_error_set(reterr, -EIO, "cannot decrypt it: %s", text);
}

int aes_read(struct aes *aes, void *buffer, size_t count, uint64_t guest_offset)
{
	LOCKED(&aes->turn);
	uint8_t *bytes = buffer;

	while (count > 0) {
		ssize_t n = libqcow_file_read_buffer_at_offset(aes->file, bytes, count,
							       (off64_t)guest_offset, NULL);

		if (n <= 0)
			return -EIO;
		bytes += n;
		guest_offset += (uint64_t)n;
		count -= (size_t)n;
	}
	return 0;
}
