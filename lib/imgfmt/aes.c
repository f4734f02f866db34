/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decrypting through libqcow; see aes.h.
 *
 * libqcow only knows whole images, and is not made for those of strangers: tables that lead where
 * they should not make it read, and free, what is not its own. So it never sees one. What it opens
 * is an image of our own making in memory: a header and tables that give each guest unit its own
 * place. Of the stranger's it gets sectors to decrypt, put into their places just before they are
 * asked for, and taken out again.
 *
 * What stays true: it may keep what it has read, as long as it likes: a unit is always put there
 * whole, and encrypted images are never written, so what it has kept is what is there.
 */
#include "aes.h"

#include "align.h"
#include "bytes.h"
#include "cleanup.h"
#include "fullio.h"
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libqcow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The image in memory is of QCOW version 1, which has a choice of how large its L2 tables are. */
enum {
	HEADER_SIZE = 48,
	L1_OFFSET = 4096,
	L2_BITS = 13, /* log2 of the entries of an L2 table */
	L2_ENTRIES = 1 << L2_BITS,
	L2_SIZE = L2_ENTRIES * 8,
	MAX_UNIT = 4096,
	MAX_L1_ENTRIES = 1 << 20,
};

/* How much is decrypted in one go, in bytes. */
#define PIECE ((size_t)64 << 10)

struct aes {
	pthread_mutex_t turn; /* libqcow is not made for threads */
	libqcow_file_t *file;
	int fd;                 /* of the image in memory */
	unsigned int unit_bits; /* log2 of the size of its clusters */
	uint64_t l1_entries;
	uint64_t l2_base, data_base; /* where its tables, and its clusters, begin */
	uint64_t table;              /* the L2 table that is there now, or UINT64_MAX */
};

void aes_close(struct aes *aes)
{
	if (!aes)
		return;
	libqcow_file_free(&aes->file, NULL);
	if (aes->fd >= 0)
		close(aes->fd);
	pthread_mutex_destroy(&aes->turn);
	free(aes);
}

DEFINE_CLEANUP(struct aes, close_pointee_aes, aes_close);

/* ---- the image in memory ---- */

/* What the image needs for @size guest bytes. Returns false where that is too much. */
static bool lay_out(struct aes *aes, uint64_t size, uint64_t granule)
{
	aes->unit_bits = (unsigned int)__builtin_ctzll(min_u64(granule, MAX_UNIT));
	aes->l1_entries = max_u64(units_of(size, aes->unit_bits + L2_BITS), 1);
	aes->l2_base = align_up(L1_OFFSET + aes->l1_entries * 8, L2_SIZE);
	aes->data_base = aes->l2_base + aes->l1_entries * L2_SIZE;
	aes->table = UINT64_MAX;
	return aes->l1_entries <= MAX_L1_ENTRIES;
}

static int write_l1_table(const struct aes *aes)
{
	size_t count = (size_t)aes->l1_entries;
	_cleanup_free_ uint8_t *table = calloc(count, 8);

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		put_be64(table + i * 8, aes->l2_base + i * L2_SIZE);
	return pwrite_full(aes->fd, table, count * 8, L1_OFFSET);
}

static int write_l2_table(const struct aes *aes, uint64_t index)
{
	_cleanup_free_ uint8_t *table = malloc(L2_SIZE);

	if (!table)
		return -ENOMEM;
	for (uint64_t i = 0; i < L2_ENTRIES; i++)
		put_be64(table + i * 8,
			 aes->data_base + ((index * L2_ENTRIES + i) << aes->unit_bits));
	return pwrite_full(aes->fd, table, L2_SIZE, aes->l2_base + index * L2_SIZE);
}

static int write_image(struct aes *aes)
{
	uint64_t size = aes->l1_entries * L2_ENTRIES << aes->unit_bits;
	uint8_t header[HEADER_SIZE] = { 'Q', 'F', 'I', 0xfb };
	int r;

	aes->fd = memfd_create("imgfuse-aes", MFD_CLOEXEC);
	if (aes->fd < 0 || ftruncate(aes->fd, (off_t)(aes->data_base + size)) < 0)
		return -errno;
	put_be32(header + 4, 1); /* the version */
	put_be64(header + 24, size);
	header[32] = (uint8_t)aes->unit_bits;
	header[33] = L2_BITS;
	put_be32(header + 36, 1); /* AES */
	put_be64(header + 40, L1_OFFSET);
	r = pwrite_full(aes->fd, header, sizeof(header), 0);
	return r < 0 ? r : write_l1_table(aes);
}

/* It is not needed any more; where that fails it takes memory, and no more. */
static void take_out(const struct aes *aes, uint64_t offset, uint64_t length)
{
	(void)fallocate(aes->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			(off_t)length);
}

/* Put the L2 table with this index there, in place of the one before. */
static int put_table(struct aes *aes, uint64_t index)
{
	int r;

	if (aes->table == index)
		return 0;
	r = write_l2_table(aes, index);
	if (aes->table != UINT64_MAX)
		take_out(aes, aes->l2_base + aes->table * L2_SIZE, L2_SIZE);
	aes->table = r < 0 ? UINT64_MAX : index;
	return r;
}

/* ---- libqcow ---- */

/* What libqcow says of an error, in one line. */
static void describe(libqcow_error_t *error, char *text, size_t capacity)
{
	if (!error || libqcow_error_sprint(error, text, capacity) <= 0)
		snprintf(text, capacity, "libqcow does not say why");
	text[strcspn(text, "\n")] = '\0';
	libqcow_error_free(&error);
}

static int open_image(struct aes *aes, const char *passphrase, struct imgfmt_error *reterr)
{
	libqcow_error_t *error = NULL;
	char name[64], text[256];

	/* libqcow opens by name */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", aes->fd);
	if (libqcow_file_initialize(&aes->file, &error) == 1 &&
	    libqcow_file_set_utf8_password(aes->file, (const uint8_t *)passphrase,
					   strlen(passphrase), &error) == 1 &&
	    libqcow_file_open(aes->file, name, LIBQCOW_OPEN_READ, &error) == 1)
		return 0;
	describe(error, text, sizeof(text));
	return imgfmt_error_set(reterr, -EIO, "cannot decrypt it: %s", text);
}

int aes_open(const struct imgfmt_open_options *options, uint64_t size, uint64_t granule,
	     struct aes **ret, struct imgfmt_error *reterr)
{
	CLEANUP(close_pointee_aes) struct aes *aes = NULL;
	int r;

	if (!options->passphrase)
		return imgfmt_error_set(
			reterr, -EACCES,
			"it is encrypted with AES: it needs a passphrase (--passphrase-file=FILE)");
	aes = calloc(1, sizeof(*aes));
	if (!aes)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	aes->fd = -1;
	pthread_mutex_init(&aes->turn, NULL);
	if (!lay_out(aes, size, granule))
		return imgfmt_error_set(reterr, -ENOTSUP,
					"it is encrypted with AES, and its disk of %" PRIu64
					" bytes in clusters of %" PRIu64 " is too large for that",
					size, granule);
	r = write_image(aes);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot decrypt it: %s", strerror(-r));
	r = open_image(aes, options->passphrase, reterr);
	if (r == 0)
		*ret = steal_ptr(aes);
	return r;
}

/*
 * Decrypt some of the units that @sectors has, from the one at @first_unit on: @count bytes at
 * @guest_offset. They are of one L2 table.
 */
static int decrypt(struct aes *aes, const uint8_t *sectors, size_t length, uint64_t first_unit,
		   void *buffer, size_t count, uint64_t guest_offset)
{
	uint64_t place = aes->data_base + first_unit;
	LOCKED(&aes->turn);
	ssize_t n;
	int r;

	r = put_table(aes, first_unit >> (aes->unit_bits + L2_BITS));
	if (r == 0)
		r = pwrite_full(aes->fd, sectors, length, place);
	if (r == 0) {
		n = libqcow_file_read_buffer_at_offset(aes->file, buffer, count,
						       (off64_t)guest_offset, NULL);
		r = n == (ssize_t)count ? 0 : -EIO;
	}
	take_out(aes, place, length);
	return r;
}

int aes_read(struct aes *aes, struct hostfile *file, void *buffer, size_t count,
	     uint64_t guest_offset, uint64_t host_offset)
{
	_cleanup_free_ uint8_t *sectors = malloc(PIECE);
	uint64_t unit = UINT64_C(1) << aes->unit_bits;
	uint8_t *bytes = buffer;

	if (!sectors)
		return -ENOMEM;
	while (count > 0) {
		uint64_t first_unit = align_down(guest_offset, unit);
		uint64_t into = guest_offset - first_unit;
		/* what the pieces begin with never splits one between two L2 tables */
		uint64_t end = align_down(guest_offset, PIECE) + PIECE;
		size_t part = (size_t)min_u64(count, end - guest_offset);
		size_t length = (size_t)align_up(into + part, unit);
		int r;

		r = hostfile_read(file, sectors, length, host_offset - into);
		if (r == 0)
			r = decrypt(aes, sectors, length, first_unit, bytes, part, guest_offset);
		if (r < 0)
			return r;
		bytes += part;
		guest_offset += part;
		host_offset += part;
		count -= part;
	}
	return 0;
}
