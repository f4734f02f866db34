/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The qcow2 header: bytes to a struct, or words that say which value is wrong.
 *
 * Nothing is used before it was checked: the cluster size before the header length, both before
 * what lies in the first cluster. What QEMU accepts though it is odd (a backing file name that
 * lies over the header, a NUL in it, padding that is not zero) is accepted.
 */
#include "header.h"

#include "align.h"
#include "array.h"
#include "cleanup.h"
#include "extension.h"
#include "view.h"

#include <inttypes.h>

static uint64_t cluster_size_of(const struct qcow2_header *header)
{
	return UINT64_C(1) << header->cluster_bits;
}

/* Magic, version and cluster size: what everything else depends on. */
static int parse_beginning(const struct view *view, struct qcow2_header *header,
			   struct imgfmt_error *reterr)
{
	uint32_t magic = view_be32(view, QCOW2_AT_MAGIC);

	if (magic != QCOW2_MAGIC)
		return refuse(reterr, "not a qcow2 image: it begins with 0x%08x", magic);
	header->version = view_be32(view, QCOW2_AT_VERSION);
	if (header->version != 2 && header->version != 3)
		return imgfmt_error_set(reterr, -ENOTSUP, "qcow2 version %u is not supported",
					header->version);
	header->cluster_bits = view_be32(view, QCOW2_AT_CLUSTER_BITS);
	if (header->cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
	    header->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return refuse(reterr, "cluster size of 2^%u bytes is not between 2^%u and 2^%u",
			      header->cluster_bits, QCOW2_MIN_CLUSTER_BITS, QCOW2_MAX_CLUSTER_BITS);
	return 0;
}

static void parse_fields(const struct view *view, struct qcow2_header *header)
{
	header->size = view_be64(view, QCOW2_AT_SIZE);
	header->crypt_method = view_be32(view, QCOW2_AT_CRYPT_METHOD);
	header->l1_size = view_be32(view, QCOW2_AT_L1_SIZE);
	header->l1_offset = view_be64(view, QCOW2_AT_L1_OFFSET);
	header->reftable_offset = view_be64(view, QCOW2_AT_REFTABLE_OFFSET);
	header->reftable_clusters = view_be32(view, QCOW2_AT_REFTABLE_CLUSTERS);
	header->snapshot_count = view_be32(view, QCOW2_AT_SNAPSHOT_COUNT);
	header->snapshots_offset = view_be64(view, QCOW2_AT_SNAPSHOTS_OFFSET);
	header->refcount_order = 4;
	header->header_length = QCOW2_HEADER_LENGTH_V2;
	if (header->version == 2)
		return;
	header->incompatible = view_be64(view, QCOW2_AT_INCOMPATIBLE);
	header->compatible = view_be64(view, QCOW2_AT_COMPATIBLE);
	header->autoclear = view_be64(view, QCOW2_AT_AUTOCLEAR);
	header->refcount_order = view_be32(view, QCOW2_AT_REFCOUNT_ORDER);
	header->header_length = view_be32(view, QCOW2_AT_HEADER_LENGTH);
	if (header->header_length > QCOW2_AT_COMPRESSION_TYPE)
		view_copy(view, QCOW2_AT_COMPRESSION_TYPE, &header->compression_type, 1);
}

static int check_header_length(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	uint32_t length = header->header_length;

	if (header->version == 2)
		return 0;
	if (length < QCOW2_HEADER_LENGTH_V3)
		return refuse(reterr, "header length %u is less than %d", length,
			      QCOW2_HEADER_LENGTH_V3);
	if (length > cluster_size_of(header))
		return refuse(reterr,
			      "header length %u is larger than the cluster size of %" PRIu64,
			      length, cluster_size_of(header));
	if (!is_aligned(length, 8))
		return refuse(reterr, "header length %u is not a multiple of 8", length);
	return 0;
}

/* Sets *ret_end to the end of the extension area: the name ends it, wherever it lies. */
static int parse_backing_name(const struct view *view, struct qcow2_header *header,
			      uint64_t *ret_end, struct imgfmt_error *reterr)
{
	uint64_t offset = view_be64(view, QCOW2_AT_BACKING_OFFSET);
	uint32_t length = view_be32(view, QCOW2_AT_BACKING_LENGTH);
	uint64_t cluster_size = cluster_size_of(header);

	if (offset == 0) {
		*ret_end = cluster_size;
		return 0;
	}
	if (offset > cluster_size)
		return refuse(reterr,
			      "backing file name offset 0x%" PRIx64
			      " lies outside the first cluster",
			      offset);
	if (length > QCOW2_MAX_BACKING_LENGTH)
		return refuse(reterr, "backing file name of %u bytes is longer than %u", length,
			      QCOW2_MAX_BACKING_LENGTH);
	if (length > cluster_size - offset)
		return refuse(reterr,
			      "backing file name of %u bytes at offset 0x%" PRIx64
			      " exceeds the first cluster",
			      length, offset);
	*ret_end = offset;
	return view_string(view, offset, length, &header->backing_name);
}

static int check_unknown_features(const struct extension_area *area,
				  const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	uint64_t unknown = header->incompatible & ~QCOW2_INCOMPATIBLE_KNOWN;
	char text[400];

	if (!unknown)
		return 0;
	extension_name_features(area, unknown, text, sizeof(text));
	return imgfmt_error_set(reterr, -ENOTSUP, "qcow2 feature not supported: %s", text);
}

static int check_compression(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	bool deflate = header->compression_type == QCOW2_COMPRESSION_DEFLATE;
	bool bit = header->incompatible & QCOW2_INCOMPATIBLE_COMPRESSION;

	if (!deflate && header->compression_type != QCOW2_COMPRESSION_ZSTD)
		return imgfmt_error_set(reterr, -ENOTSUP, "compression type %u is not supported",
					header->compression_type);
	if (deflate && bit)
		return refuse(reterr, "compression type feature bit with compression type 0");
	if (!deflate && !bit)
		return refuse(reterr,
			      "compression type %u without the compression type feature bit",
			      header->compression_type);
	return 0;
}

static int check_features(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	if ((header->autoclear & QCOW2_AUTOCLEAR_DATA_RAW) &&
	    !(header->incompatible & QCOW2_INCOMPATIBLE_DATA_FILE))
		return refuse(reterr,
			      "raw external data feature bit without an external data file");
	if ((header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) && header->cluster_bits < 14)
		return refuse(reterr,
			      "cluster size of %" PRIu64
			      " bytes is less than the 16384 that extended L2 entries need",
			      cluster_size_of(header));
	if (header->refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
		return refuse(reterr, "refcount order %u is larger than %u", header->refcount_order,
			      QCOW2_MAX_REFCOUNT_ORDER);
	if (header->crypt_method > QCOW2_CRYPT_LUKS)
		return imgfmt_error_set(reterr, -ENOTSUP, "encryption method %u is not supported",
					header->crypt_method);
	return check_compression(header, reterr);
}

/* A table that the header points to. Its alignment counts also where it has no entries. */
struct table {
	const char *name, *unit;
	uint64_t offset;
	uint64_t count, max_count; /* units */
	uint64_t unit_size;        /* at least, in bytes; max_count of them are below 64 MiB */
};

static int check_table(const struct table *table, uint64_t cluster_size,
		       struct imgfmt_error *reterr)
{
	if (table->count > table->max_count)
		return refuse(reterr, "%s of %" PRIu64 " %s is larger than %" PRIu64, table->name,
			      table->count, table->unit, table->max_count);
	if (!is_aligned(table->offset, cluster_size))
		return refuse(reterr,
			      "%s offset 0x%" PRIx64 " is not a multiple of the cluster size",
			      table->name, table->offset);
	if (table->offset > INT64_MAX - table->count * table->unit_size)
		return refuse(reterr,
			      "%s offset 0x%" PRIx64 " plus its size of %" PRIu64
			      " bytes is no file offset",
			      table->name, table->offset, table->count * table->unit_size);
	return 0;
}

static int check_l1_size(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	bool extended = header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2;
	unsigned int l2_bits = header->cluster_bits - (extended ? 4 : 3);
	uint64_t needed = units_of(header->size, header->cluster_bits + l2_bits);

	if (header->l1_size >= needed)
		return 0;
	return refuse(reterr,
		      "L1 table of %u entries is too small: a disk of %" PRIu64
		      " bytes needs %" PRIu64,
		      header->l1_size, header->size, needed);
}

static int check_tables(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	const uint64_t cluster_size = cluster_size_of(header);
	const struct table tables[] = {
		{ "L1 table", "entries", header->l1_offset, header->l1_size, QCOW2_MAX_L1_BYTES / 8,
		  8 },
		{ "refcount table", "clusters", header->reftable_offset, header->reftable_clusters,
		  QCOW2_MAX_REFTABLE_BYTES / cluster_size, cluster_size },
		{ "snapshot table", "entries", header->snapshots_offset, header->snapshot_count,
		  QCOW2_MAX_SNAPSHOTS, 40 },
	};
	int r;

	if (header->reftable_clusters == 0)
		return refuse(reterr, "refcount table of 0 clusters");
	for (size_t i = 0; i < ARRAY_LENGTH(tables); i++) {
		r = check_table(&tables[i], cluster_size, reterr);
		if (r)
			return r;
	}
	return check_l1_size(header, reterr);
}

/* Every field by itself and with its neighbours; then what lies behind the header. */
static int parse_rest(const struct view *view, struct qcow2_header *header,
		      struct imgfmt_error *reterr)
{
	struct extension_area area = { .view = view };
	int r;

	parse_fields(view, header);
	r = check_header_length(header, reterr);
	if (r)
		return r;
	area.begin = header->header_length;
	r = parse_backing_name(view, header, &area.end, reterr);
	if (r)
		return r;
	/* Before all that an unknown feature could give another meaning. */
	r = check_unknown_features(&area, header, reterr);
	if (r)
		return r;
	r = check_features(header, reterr);
	if (r)
		return r;
	r = check_tables(header, reterr);
	if (r)
		return r;
	return extension_parse_all(&area, header, reterr);
}

int qcow2_header_extent(const uint8_t *bytes, size_t *ret_length, struct imgfmt_error *reterr)
{
	const struct view view = { bytes, QCOW2_HEADER_LENGTH_V2 };
	struct qcow2_header header = { 0 };
	int r;

	r = parse_beginning(&view, &header, reterr);
	if (r)
		return r;
	*ret_length = (size_t)1 << header.cluster_bits;
	return 0;
}

int qcow2_header_parse(const uint8_t *bytes, size_t count, struct qcow2_header *ret,
		       struct imgfmt_error *reterr)
{
	CLEANUP(qcow2_header_finish) struct qcow2_header header = { 0 };
	const struct view view = { bytes, count };
	int r;

	r = parse_beginning(&view, &header, reterr);
	if (r)
		return r;
	r = parse_rest(&view, &header, reterr);
	if (r)
		return r;
	*ret = header;
	header = (struct qcow2_header){ 0 };
	return 0;
}

void qcow2_header_finish(struct qcow2_header *header)
{
	free(header->backing_name);
	free(header->backing_format);
	free(header->data_file_name);
	*header = (struct qcow2_header){ 0 };
}
