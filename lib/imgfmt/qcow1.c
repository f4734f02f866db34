/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QCOW version 1 images, read-only: a header, a table (L1) of tables (L2) of clusters.
 *
 * Keeps nothing of the tables in memory: each look-up reads the few entries it needs, which the
 * host has in its page cache. So there is nothing to lock, and no image can make us use memory.
 *
 * libqcow decrypts, and no more (aes.h): it does not say which clusters are unallocated, and where
 * a damaged compressed cluster inflates to less than a cluster it hands out, without an error, what
 * its buffer held of another one.
 */
#include "aes.h"
#include "align.h"
#include "bytes.h"
#include "cleanup.h"
#include "drivers.h"
#include "image.h"
#include "inflate.h"
#include "overflow.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Offsets of header fields, which are big-endian. */
enum {
	AT_VERSION = 4,
	AT_BACKING_OFFSET = 8,
	AT_BACKING_LENGTH = 16,
	AT_SIZE = 24,
	AT_CLUSTER_BITS = 32,
	AT_L2_BITS = 33,
	AT_CRYPT_METHOD = 36,
	AT_L1_OFFSET = 40,
	HEADER_LENGTH = 48,
};

/* The limits are QEMU's, apart from those that say that a thing must lie inside the file. */
enum {
	CRYPT_AES = 1,
	MIN_CLUSTER_BITS = 9,
	MAX_CLUSTER_BITS = 16,
	MIN_L2_BITS = 6,
	MAX_L2_BITS = 13,
	MAX_BACKING_LENGTH = 1023,
};

#define SECTOR_SIZE 512

#define ENTRY_SIZE       8
#define ENTRY_COMPRESSED (UINT64_C(1) << 63)

/* How many entries of an L2 table one look-up takes at most. */
#define MAX_LOOK_UP 512

struct qcow1 {
	struct hostfile *file;
	uint64_t file_size; /* does not change while we hold the lock */
	unsigned int cluster_bits;
	unsigned int l2_bits; /* log2 of the entries of an L2 table */
	uint64_t l1_offset;
	bool encrypted;
	struct aes *aes; /* NULL unless encrypted and to be read */
};

/* ---- opening ---- */

static int qcow1_probe(const struct imgfmt_sample *sample)
{
	return imgfmt_probe_qcow(sample, true);
}

static int check_header(const uint8_t *header, struct imgfmt_error *reterr)
{
	uint32_t crypt_method = get_be32(header + AT_CRYPT_METHOD);
	unsigned int cluster_bits = header[AT_CLUSTER_BITS];
	unsigned int l2_bits = header[AT_L2_BITS];
	uint64_t size = get_be64(header + AT_SIZE);

	if (get_be32(header) != QCOW_MAGIC)
		return imgfmt_error_set(reterr, -EINVAL,
					"it does not begin with QCOW's magic number");
	if (get_be32(header + AT_VERSION) != 1)
		return imgfmt_error_set(reterr, -ENOTSUP,
					"it is of QCOW version %" PRIu32 ", not 1",
					get_be32(header + AT_VERSION));
	if (cluster_bits < MIN_CLUSTER_BITS || cluster_bits > MAX_CLUSTER_BITS)
		return imgfmt_error_set(reterr, -EINVAL,
					"cluster_bits is %u, which is not between %d and %d",
					cluster_bits, MIN_CLUSTER_BITS, MAX_CLUSTER_BITS);
	if (l2_bits < MIN_L2_BITS || l2_bits > MAX_L2_BITS)
		return imgfmt_error_set(reterr, -EINVAL,
					"l2_bits is %u, which is not between %d and %d", l2_bits,
					MIN_L2_BITS, MAX_L2_BITS);
	if (crypt_method > CRYPT_AES)
		return imgfmt_error_set(reterr, -EINVAL,
					"encryption method %" PRIu32 " does not exist",
					crypt_method);
	if (size <= 1 || size > INT64_MAX)
		return imgfmt_error_set(reterr, -EINVAL,
					"a disk of %" PRIu64 " bytes is impossible", size);
	return 0;
}

static int check_l1_table(const struct qcow1 *q, uint64_t size, struct imgfmt_error *reterr)
{
	uint64_t length = units_of(size, q->cluster_bits + q->l2_bits) * ENTRY_SIZE;

	if (range_fits(q->l1_offset, length, q->file_size))
		return 0;
	return imgfmt_error_set(reterr, -EINVAL,
				"the L1 table, %" PRIu64 " bytes at offset 0x%" PRIx64
				", goes beyond the end of the file",
				length, q->l1_offset);
}

static int read_backing_name(struct imgfmt_image *image, const struct qcow1 *q,
			     const uint8_t *header, struct imgfmt_error *reterr)
{
	uint64_t offset = get_be64(header + AT_BACKING_OFFSET);
	uint32_t length = get_be32(header + AT_BACKING_LENGTH);
	_cleanup_free_ char *name = NULL;
	int r;

	if (offset == 0 || length == 0)
		return 0;
	if (length > MAX_BACKING_LENGTH)
		return imgfmt_error_set(reterr, -EINVAL,
					"backing file name of %" PRIu32 " bytes is longer than %d",
					length, MAX_BACKING_LENGTH);
	if (!range_fits(offset, length, q->file_size))
		return imgfmt_error_set(reterr, -EINVAL,
					"backing file name at offset 0x%" PRIx64
					" goes beyond the end of the file",
					offset);
	name = calloc(1, length + 1);
	if (!name)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	r = hostfile_read(q->file, name, length, offset);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read the backing file name: %s",
					strerror(-r));
	if (strlen(name) != length)
		return imgfmt_error_set(reterr, -EINVAL, "the backing file name contains a NUL");
	image->backing_name = steal_ptr(name);
	return 0;
}

static int qcow1_open(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		      struct imgfmt_error *reterr)
{
	struct qcow1 *q = image->state;
	uint8_t header[HEADER_LENGTH];
	int r;

	q->file = image->file;
	r = hostfile_size(q->file, &q->file_size);
	if (r == 0)
		r = hostfile_read(q->file, header, sizeof(header), 0);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read the header: %s", strerror(-r));
	r = check_header(header, reterr);
	if (r < 0)
		return r;
	q->cluster_bits = header[AT_CLUSTER_BITS];
	q->l2_bits = header[AT_L2_BITS];
	q->l1_offset = get_be64(header + AT_L1_OFFSET);
	r = check_l1_table(q, get_be64(header + AT_SIZE), reterr);
	if (r == 0)
		r = read_backing_name(image, q, header, reterr);
	if (r < 0)
		return r;
	image->granule = image->unit = UINT64_C(1) << q->cluster_bits;
	/* QEMU counts whole sectors, and leaves off what is less than one. */
	image->size = align_down(get_be64(header + AT_SIZE), SECTOR_SIZE);
	q->encrypted = get_be32(header + AT_CRYPT_METHOD) == CRYPT_AES;
	if (q->encrypted && !options->describe_only)
		r = aes_open(options, image->size, image->granule, &q->aes, reterr);
	return r;
}

/* ---- finding clusters ---- */

/* Entries of an L2 table, one behind the other. */
struct look_up {
	uint64_t entries[MAX_LOOK_UP];
	size_t count;
};

/*
 * Get the L2 entries from the cluster of @guest_offset on: up to @wanted, one at least. Without an
 * L2 table, which leaves all its clusters unallocated, *ret_unallocated says how many from here on
 * those are, and ret->count is 0.
 */
static int look_up(const struct qcow1 *q, uint64_t guest_offset, uint64_t wanted,
		   struct look_up *ret, uint64_t *ret_unallocated)
{
	uint64_t cluster = guest_offset >> q->cluster_bits;
	uint64_t l1_index = cluster >> q->l2_bits;
	uint64_t l2_entries = UINT64_C(1) << q->l2_bits;
	uint64_t l2_index = cluster & (l2_entries - 1);
	uint8_t raw[MAX_LOOK_UP * ENTRY_SIZE];
	uint64_t l2_offset;
	int r;

	r = hostfile_read(q->file, raw, ENTRY_SIZE, q->l1_offset + l1_index * ENTRY_SIZE);
	if (r < 0)
		return r;
	l2_offset = get_be64(raw);
	if (l2_offset == 0) {
		ret->count = 0;
		*ret_unallocated = min_u64(wanted, l2_entries - l2_index);
		return 0;
	}
	if (!range_fits(l2_offset, l2_entries * ENTRY_SIZE, q->file_size))
		return -EUCLEAN;
	wanted = min_u64(wanted, min_u64(l2_entries - l2_index, MAX_LOOK_UP));
	r = hostfile_read(q->file, raw, (size_t)wanted * ENTRY_SIZE,
			  l2_offset + l2_index * ENTRY_SIZE);
	if (r < 0)
		return r;
	for (size_t i = 0; i < wanted; i++)
		ret->entries[i] = get_be64(raw + i * ENTRY_SIZE);
	ret->count = (size_t)wanted;
	return 0;
}

static enum driver_extent_kind kind_of(uint64_t entry)
{
	if (entry & ENTRY_COMPRESSED)
		return DRIVER_ENCODED;
	return entry ? DRIVER_DATA : DRIVER_UNALLOCATED;
}

/* How many of the entries from the first on go on in the same way, in the file too if plain. */
static size_t run_length(const struct qcow1 *q, const struct look_up *found)
{
	uint64_t first = found->entries[0];
	size_t i = 1;

	while (i < found->count && kind_of(found->entries[i]) == kind_of(first) &&
	       (kind_of(first) != DRIVER_DATA ||
		found->entries[i] == first + ((uint64_t)i << q->cluster_bits)))
		i++;
	return i;
}

/*
 * Where @length bytes at @guest_offset lie, if they are plain and @entry is that of their first
 * cluster. Everything that is part of the disk must be in the file: it was when it was written.
 */
static int locate(const struct qcow1 *q, uint64_t entry, uint64_t guest_offset, uint64_t length,
		  uint64_t *ret)
{
	uint64_t into = guest_offset & ((UINT64_C(1) << q->cluster_bits) - 1);

	if (!is_aligned(entry, SECTOR_SIZE) || !range_fits(entry, into + length, q->file_size))
		return -EUCLEAN;
	*ret = entry + into;
	return 0;
}

static int qcow1_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		     struct driver_extent *ret)
{
	const struct qcow1 *q = image->state;
	uint64_t into = guest_offset & ((UINT64_C(1) << q->cluster_bits) - 1);
	struct driver_extent extent = { .kind = DRIVER_UNALLOCATED, .work = MAX_LOOK_UP };
	struct look_up found;
	uint64_t clusters = 0;
	int r;

	r = look_up(q, guest_offset, units_of(into + length, q->cluster_bits), &found, &clusters);
	if (r < 0)
		return r;
	if (found.count > 0) {
		extent.kind = kind_of(found.entries[0]);
		clusters = run_length(q, &found);
	}
	extent.length = min_u64(length, (clusters << q->cluster_bits) - into);
	if (extent.kind == DRIVER_DATA) {
		extent.file = q->file;
		r = locate(q, found.entries[0], guest_offset, extent.length, &extent.host_offset);
		if (r < 0)
			return r;
		/* Where they are is found again; that they are there is known now. */
		if (q->aes)
			extent.kind = DRIVER_ENCODED;
	}
	*ret = extent;
	return 0;
}

/* ---- compressed and encrypted clusters ---- */

/* Inflate the cluster that @entry describes; @stream has room for a cluster too. */
static int read_compressed(const struct qcow1 *q, uint64_t entry, uint8_t *stream, uint8_t *cluster)
{
	size_t cluster_size = (size_t)1 << q->cluster_bits;
	unsigned int offset_bits = 63 - q->cluster_bits;
	uint64_t host_offset = entry & ((UINT64_C(1) << offset_bits) - 1);
	size_t length = (size_t)(entry >> offset_bits) & (cluster_size - 1);
	int r;

	if (!range_fits(host_offset, length, q->file_size))
		return -EUCLEAN;
	r = hostfile_read(q->file, stream, length, host_offset);
	if (r < 0)
		return r;
	return inflate_cluster(stream, length, cluster, cluster_size);
}

/*
 * Read a part of one cluster. A compressed cluster is not encrypted, whatever the header says.
 * @space is for two clusters.
 */
static int read_cluster(const struct qcow1 *q, void *buffer, size_t count, uint64_t guest_offset,
			uint8_t *space)
{
	size_t cluster_size = (size_t)1 << q->cluster_bits;
	struct look_up found;
	uint64_t unallocated, host_offset;
	int r;

	r = look_up(q, guest_offset, 1, &found, &unallocated);
	if (r < 0)
		return r;
	/* map called it encoded, and nobody writes here. */
	if (found.count == 0 || (kind_of(found.entries[0]) != DRIVER_ENCODED && !q->aes))
		return -EUCLEAN;
	if (kind_of(found.entries[0]) == DRIVER_ENCODED) {
		r = read_compressed(q, found.entries[0], space, space + cluster_size);
		if (r == 0)
			memcpy(buffer, space + cluster_size + (guest_offset & (cluster_size - 1)),
			       count);
		return r;
	}
	r = locate(q, found.entries[0], guest_offset, count, &host_offset);
	return r < 0 ? r : aes_read(q->aes, q->file, buffer, count, guest_offset, host_offset);
}

static int qcow1_read_encoded(struct imgfmt_image *image, void *buffer, size_t count,
			      uint64_t guest_offset)
{
	const struct qcow1 *q = image->state;
	size_t cluster_size = (size_t)1 << q->cluster_bits;
	_cleanup_free_ uint8_t *space = malloc(2 * cluster_size);
	uint8_t *bytes = buffer;

	if (!space)
		return -ENOMEM;
	while (count > 0) {
		size_t into = (size_t)guest_offset & (cluster_size - 1);
		size_t length = (size_t)min_u64(count, cluster_size - into);
		int r = read_cluster(q, bytes, length, guest_offset, space);

		if (r < 0)
			return r;
		bytes += length;
		guest_offset += length;
		count -= length;
	}
	return 0;
}

static void qcow1_describe(struct imgfmt_image *image, struct imgfmt_info *info)
{
	const struct qcow1 *q = image->state;

	info->cluster_size = UINT64_C(1) << q->cluster_bits;
	info->encryption = q->encrypted ? "aes" : NULL;
}

static void qcow1_close(struct imgfmt_image *image)
{
	struct qcow1 *q = image->state;

	aes_close(q->aes);
}

const struct imgfmt_driver imgfmt_qcow1_driver = {
	.name = "qcow",
	.description = "QCOW version 1, read-only",
	.state_size = sizeof(struct qcow1),
	.probe = qcow1_probe,
	.open = qcow1_open,
	.close = qcow1_close,
	.map = qcow1_map,
	.read_encoded = qcow1_read_encoded,
	.describe = qcow1_describe,
};
