/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the start of a file, to the probe and to the parser of qcow2's header and its
 * extensions.
 *
 * What must hold: a header that is accepted keeps to the limits that the rest of the driver counts
 * on; a refusal has words; zeroes that are not there count as those that are.
 */
#include "fuzz.h"

#include "driver.h"
#include "qcow2/geometry.h"
#include "qcow2/header.h"

#include "align.h"

#include <errno.h>

static void check_probe(const uint8_t *data, size_t size)
{
	struct imgfmt_sample sample = { .size = size };
	const struct imgfmt_driver *driver;

	memcpy(sample.head, data, min_u64(size, sizeof(sample.head)));
	driver = imgfmt_probe(&sample);
	MUST(driver && driver->name);
}

static void check_table(uint64_t offset, uint64_t length, uint64_t cluster_size)
{
	MUST(is_aligned(offset, cluster_size));
	MUST(offset <= INT64_MAX && length <= INT64_MAX - offset);
}

static void check_strings(const struct qcow2_header *header)
{
	MUST(!header->backing_name || (header->backing_name[0] != '\0' &&
				       strlen(header->backing_name) <= QCOW2_MAX_BACKING_LENGTH));
	MUST(!header->backing_format || header->backing_format[0] != '\0');
	MUST(!header->data_file_name || header->data_file_name[0] != '\0');
}

static void check_limits(const struct qcow2_header *header)
{
	struct qcow2_geometry geometry;

	MUST(header->version == 2 || header->version == 3);
	MUST(header->cluster_bits >= 9 && header->cluster_bits <= 21);
	MUST(header->refcount_order <= 6);
	geometry_init(&geometry, header);
	MUST(l1_entries_for(&geometry, header->size) <= header->l1_size);
	MUST(header->l1_size <= UINT32_C(4) << 20);
	MUST(header->reftable_clusters >= 1);
	MUST(header->reftable_clusters * geometry.cluster_size <= UINT64_C(8) << 20);
	MUST(header->snapshot_count <= 65536);
	MUST((header->incompatible & ~UINT64_C(0x1f)) == 0);
	MUST(geometry.subclusters == 1 || geometry.subcluster_bits >= 9);
	MUST(header->compression_type <= 1 && header->crypt_method <= 2);
	MUST(header->has_bitmaps || header->bitmap_count == 0);
	check_table(header->l1_offset, (uint64_t)header->l1_size * 8, geometry.cluster_size);
	check_table(header->reftable_offset, header->reftable_clusters * geometry.cluster_size,
		    geometry.cluster_size);
	check_table(header->snapshots_offset, 0, geometry.cluster_size);
	if (header->has_bitmaps)
		check_table(header->bitmap_directory_offset, 0, geometry.cluster_size);
	if (header->has_luks)
		check_table(header->luks_offset, 0, geometry.cluster_size);
}

static bool same_string(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Everything of a header but its strings. */
static struct qcow2_header numbers_of(const struct qcow2_header *header)
{
	struct qcow2_header copy;

	memcpy(&copy, header, sizeof(copy));
	copy.backing_name = copy.backing_format = copy.data_file_name = NULL;
	return copy;
}

static void check_same(const struct qcow2_header *a, const struct qcow2_header *b)
{
	struct qcow2_header numbers_a = numbers_of(a), numbers_b = numbers_of(b);

	MUST(memcmp(&numbers_a, &numbers_b, sizeof(numbers_a)) == 0);
	MUST(same_string(a->backing_name, b->backing_name));
	MUST(same_string(a->backing_format, b->backing_format));
	MUST(same_string(a->data_file_name, b->data_file_name));
}

/* Parse bytes that the address sanitizer knows the end of. Returns what the parser does. */
static int parse(const uint8_t *data, size_t count, struct qcow2_header *ret)
{
	struct imgfmt_error error = { "" };
	uint8_t *copy = malloc(count + 1);
	int r;

	MUST(copy);
	memcpy(copy, data, count);
	memset(ret, 0, sizeof(*ret));
	r = qcow2_header_parse(copy, count, ret, &error);
	free(copy);
	MUST(r == 0 || r == -EINVAL || r == -ENOTSUP);
	MUST((r == 0) == (error.text[0] == '\0'));
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t padded[2 << 20];
	struct qcow2_header header, again;
	size_t length, count = (size_t)min_u64(size, sizeof(padded));
	int r;

	check_probe(data, size);
	memset(padded, 0, QCOW2_HEADER_LENGTH_V2);
	memcpy(padded, data, count);
	if (qcow2_header_extent(padded, &length, NULL) < 0)
		return 0;
	MUST(length <= sizeof(padded));
	/* What lies behind the first cluster is not the header's. */
	count = (size_t)min_u64(count, length);
	r = parse(data, count, &header);
	/* With large clusters this would be all that one does. */
	if (length <= 65536) {
		memset(padded + count, 0, length - count);
		MUST(parse(padded, length, &again) == r);
		if (r == 0)
			check_same(&header, &again);
		qcow2_header_finish(&again);
	}
	if (r == 0) {
		check_limits(&header);
		check_strings(&header);
	}
	qcow2_header_finish(&header);
	return 0;
}
