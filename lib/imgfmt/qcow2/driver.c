/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The qcow2 driver: opening, what is refused and why, closing, and the table of functions.
 */
#include "qcow2.h"
#include "zstd.h"

#include "array.h"
#include "bytes.h"
#include "cleanup.h"
#include "lock.h"
#include "../drivers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CACHE_SIZE ((size_t)32 << 20)

static int probe(const struct imgfmt_sample *sample)
{
	return imgfmt_probe_qcow(sample, false);
}

static int read_header(struct qcow2 *q, struct imgfmt_error *reterr)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	uint8_t start[QCOW2_HEADER_LENGTH_V2];
	size_t length;
	int r;

	r = hostfile_read(q->file, start, sizeof(start), 0);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read the header: %s", strerror(-r));
	r = qcow2_header_extent(start, &length, reterr);
	if (r < 0)
		return r;
	bytes = malloc(length);
	if (!bytes)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	r = hostfile_read(q->file, bytes, length, 0);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read the header: %s", strerror(-r));
	return qcow2_header_parse(bytes, length, &q->header, reterr);
}

/* What the header says is well-formed, but we cannot serve it. */
static int check_supported(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	if (header->compression_type == QCOW2_COMPRESSION_ZSTD && !zstd_is_available())
		return imgfmt_error_set(
			reterr, -ENOTSUP,
			"its clusters are compressed with zstd, without which this program was built");
	return 0;
}

/* Do two tables that we would write overlap, or one of them the header? */
static int check_disjoint(const struct qcow2 *q, struct imgfmt_error *reterr)
{
	const struct qcow2_header *header = &q->header;
	const struct {
		const char *name;
		uint64_t start, end;
	} parts[] = {
		{ "header", 0, q->geometry.cluster_size },
		{ "L1 table", header->l1_offset,
		  header->l1_offset + (uint64_t)header->l1_size * 8 },
		{ "refcount table", header->reftable_offset,
		  header->reftable_offset + header->reftable_clusters * q->geometry.cluster_size },
		{ "snapshot table", header->snapshots_offset,
		  header->snapshots_offset + q->snapshots_length },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
		for (size_t j = i + 1; j < ARRAY_LENGTH(parts); j++)
			if (parts[i].start < parts[j].end && parts[j].start < parts[i].end)
				return imgfmt_error_set(
					reterr, -EUCLEAN, "its %s at 0x%" PRIx64 " overlaps its %s",
					parts[j].name, parts[j].start, parts[i].name);
	return 0;
}

/* What stands in the way of writing, and what the user should know of the image. */
static int check_condition(struct qcow2 *q, struct imgfmt_error *reterr)
{
	const struct qcow2_header *header = &q->header;
	const char *path = q->image->path;

	if (q->image->read_only) {
		if (header->incompatible & QCOW2_INCOMPATIBLE_CORRUPT)
			imgfmt_warn(q->image, "%s: is marked corrupt: what it shows may be wrong",
				    path);
		return 0;
	}
	if (header->crypt_method == QCOW2_CRYPT_AES)
		return imgfmt_error_set(reterr, -EROFS, "encrypted images can only be read");
	if (header->incompatible & QCOW2_INCOMPATIBLE_CORRUPT)
		return imgfmt_error_set(
			reterr, -EUCLEAN,
			"it is marked corrupt: look at it with --read-only, or repair it with 'qemu-img check -r all'");
	if (header->incompatible & QCOW2_INCOMPATIBLE_DIRTY)
		return imgfmt_error_set(
			reterr, -EUCLEAN,
			"it was not closed properly, and its refcounts may be wrong: look at it with --read-only, or repair it with 'qemu-img check -r all'");
	if (header->autoclear & QCOW2_AUTOCLEAR_BITMAPS) {
		char names[256] = "";

		qcow2_name_bitmaps(q, names, sizeof(names));
		imgfmt_warn(
			q->image,
			"%s: the first write will make its persistent bitmap(s) %s invalid: they cannot be kept up to date",
			path, names);
	}
	return check_disjoint(q, reterr);
}

static void describe_to_core(struct qcow2 *q)
{
	struct imgfmt_image *image = q->image;

	/* A disk consists of sectors; what is less than one at its end is not shown. */
	image->size = align_down(q->header.size, 512);
	image->granule = UINT64_C(1) << q->geometry.subcluster_bits;
	image->unit = q->geometry.cluster_size;
	image->backing_name = steal_ptr(q->header.backing_name);
	image->backing_format = steal_ptr(q->header.backing_format);
	image->has_data_file = q->geometry.external_data;
	image->data_file_name = steal_ptr(q->header.data_file_name);
	q->has_backing = image->backing_name != NULL;
}

static int init_state(struct qcow2 *q, const struct imgfmt_open_options *options,
		      struct imgfmt_error *reterr)
{
	size_t cache_size = options->cache_size ? options->cache_size : DEFAULT_CACHE_SIZE;
	uint64_t host_size;
	int r;

	r = hostfile_size(q->file, &host_size);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s", strerror(-r));
	r = cache_init(&q->cache, q->file, q->geometry.slice_size, cache_size);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "out of memory");
	inflated_init(&q->inflated, (size_t)q->geometry.cluster_size);
	q->fresh_from = host_size;
	list_init(&q->allocations);
	list_init(&q->in_place);
	pthread_mutex_init(&q->flushing, NULL);
	pthread_mutex_init(&q->meta, NULL);
	pthread_cond_init(&q->allocation_ended, NULL);
	return 0;
}

static int open_encryption(struct qcow2 *q, const struct imgfmt_open_options *options,
			   struct imgfmt_error *reterr)
{
	if (q->header.crypt_method == QCOW2_CRYPT_NONE || options->describe_only)
		return 0;
	if (q->header.crypt_method == QCOW2_CRYPT_LUKS)
		return imgfmt_error_set(reterr, -ENOTSUP,
					"it is encrypted with LUKS, which is not supported");
	return aes_open(options, q->header.size, UINT64_C(1) << q->geometry.subcluster_bits,
			&q->aes, reterr);
}

static int open_checked(struct qcow2 *q, const struct imgfmt_open_options *options,
			struct imgfmt_error *reterr)
{
	int r;

	r = check_supported(&q->header, reterr);
	if (r < 0)
		return r;
	geometry_init(&q->geometry, &q->header);
	r = qcow2_check_snapshots(q, reterr);
	if (r < 0)
		return r;
	if (options->snapshot) {
		r = qcow2_select_snapshot(q, options->snapshot, reterr);
		if (r < 0)
			return r;
	}
	r = check_condition(q, reterr);
	if (r < 0)
		return r;
	r = open_encryption(q, options, reterr);
	if (r < 0)
		return r;
	r = init_state(q, options, reterr);
	if (r < 0) {
		aes_close(q->aes);
		return r;
	}
	describe_to_core(q);
	return 0;
}

static int open_image(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		      struct imgfmt_error *reterr)
{
	struct qcow2 *q = qcow2_of(image);
	int r;

	q->image = image;
	q->file = image->file;
	r = read_header(q, reterr);
	if (r < 0)
		return r;
	r = open_checked(q, options, reterr);
	if (r < 0)
		qcow2_header_finish(&q->header);
	return r;
}

static void close_image(struct imgfmt_image *image)
{
	struct qcow2 *q = qcow2_of(image);

	aes_close(q->aes);
	inflated_finish(&q->inflated);
	cache_finish(&q->cache);
	run_set_finish(&q->tables);
	quarantine_finish(&q->unlinked);
	quarantine_finish(&q->waiting.freed);
	quarantine_finish(&q->waiting.next);
	tally_finish(&q->pending);
	pthread_cond_destroy(&q->allocation_ended);
	pthread_mutex_destroy(&q->meta);
	pthread_mutex_destroy(&q->flushing);
	qcow2_header_finish(&q->header);
}

__attribute__((format(printf, 3, 4))) static void add_feature(struct imgfmt_info *info,
							      const char *name, const char *format,
							      ...)
{
	struct imgfmt_feature *feature;
	va_list arguments;

	if (info->feature_count == ARRAY_LENGTH(info->features))
		return;
	feature = &info->features[info->feature_count++];
	snprintf(feature->name, sizeof(feature->name), "%s", name);
	va_start(arguments, format);
	vsnprintf(feature->value, sizeof(feature->value), format, arguments);
	va_end(arguments);
}

static const char *yes_no(bool value)
{
	return value ? "true" : "false";
}

static const char *encryption_name(uint32_t crypt_method)
{
	switch (crypt_method) {
	case QCOW2_CRYPT_AES:
		return "aes";
	case QCOW2_CRYPT_LUKS:
		return "luks";
	default:
		return NULL;
	}
}

static void describe(struct imgfmt_image *image, struct imgfmt_info *info)
{
	struct qcow2 *q = qcow2_of(image);
	const struct qcow2_header *header = &q->header;
	LOCKED(&q->meta);

	info->cluster_size = q->geometry.cluster_size;
	info->encryption = encryption_name(header->crypt_method);
	info->dirty = header->incompatible & QCOW2_INCOMPATIBLE_DIRTY;
	add_feature(info, "compat", "%s", header->version == 2 ? "0.10" : "1.1");
	add_feature(info, "compression type", "%s",
		    header->compression_type == QCOW2_COMPRESSION_ZSTD ? "zstd" : "zlib");
	add_feature(info, "lazy refcounts", "%s",
		    yes_no(header->compatible & QCOW2_COMPATIBLE_LAZY_REFCOUNTS));
	add_feature(info, "refcount bits", "%u", 1u << header->refcount_order);
	if (header->incompatible & QCOW2_INCOMPATIBLE_DATA_FILE)
		add_feature(info, "data file raw", "%s",
			    yes_no(header->autoclear & QCOW2_AUTOCLEAR_DATA_RAW));
	add_feature(info, "corrupt", "%s",
		    yes_no(header->incompatible & QCOW2_INCOMPATIBLE_CORRUPT));
	add_feature(info, "extended l2", "%s",
		    yes_no(header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2));
	if (header->snapshot_count > 0)
		add_feature(info, "snapshots", "%" PRIu32, header->snapshot_count);
	if (header->bitmap_count > 0)
		add_feature(info, "bitmap count", "%" PRIu32, header->bitmap_count);
}

const struct imgfmt_driver imgfmt_qcow2_driver = {
	.name = "qcow2",
	.description = "QEMU copy-on-write, versions 2 and 3",
	.state_size = sizeof(struct qcow2),
	.has_snapshots = true,
	.probe = probe,
	.open = open_image,
	.close = close_image,
	.map = qcow2_map,
	.read_encoded = qcow2_read_encoded,
	.write_begin = qcow2_write_begin,
	.write_end = qcow2_write_end,
	.zero = qcow2_zero,
	.writeback = qcow2_writeback,
	.flush = qcow2_flush,
	.truncate = qcow2_truncate,
	.get_snapshot = qcow2_get_snapshot,
	.describe = describe,
};
