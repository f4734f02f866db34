/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of images; see kinds.h. */
#include "kinds.h"

#include "build.h"

#include "array.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kind kinds[] = {
	{ .name = "raw", .clusters = 256 },
	{ .name = "plain", .cluster_bits = 16, .refcount_order = 4, .clusters = 32 },
	{ .name = "used",
	  .cluster_bits = 12,
	  .refcount_order = 4,
	  .clusters = 128,
	  .normal = 50,
	  .zero = 10,
	  .zero_allocated = 10 },
	{ .name = "smallest",
	  .cluster_bits = 9,
	  .refcount_order = 4,
	  .clusters = 1500,
	  .normal = 40,
	  .zero = 5,
	  .compressed = 5 },
	{ .name = "tables-grow",
	  .cluster_bits = 9,
	  .refcount_order = 6,
	  .clusters = 600,
	  .leaked = true,
	  .normal = 5 },
	{ .name = "refcount-1",
	  .cluster_bits = 12,
	  .clusters = 128,
	  .normal = 40,
	  .compressed = 20 },
	{ .name = "refcount-8",
	  .cluster_bits = 10,
	  .refcount_order = 3,
	  .clusters = 400,
	  .normal = 40,
	  .compressed = 20,
	  .snapshots = 1 },
	{ .name = "version-2",
	  .version = 2,
	  .cluster_bits = 12,
	  .refcount_order = 4,
	  .clusters = 128,
	  .backing = true,
	  .normal = 30 },
	{ .name = "compressed",
	  .cluster_bits = 16,
	  .refcount_order = 4,
	  .clusters = 24,
	  .compressed = 80 },
	{ .name = "backing",
	  .cluster_bits = 12,
	  .refcount_order = 4,
	  .clusters = 128,
	  .backing = true,
	  .normal = 20,
	  .zero = 10,
	  .compressed = 10 },
	{ .name = "compressed-base",
	  .cluster_bits = 14,
	  .refcount_order = 4,
	  .clusters = 64,
	  .backing = true,
	  .compressed_base = true,
	  .normal = 20,
	  .zero = 10 },
	{ .name = "snapshots",
	  .cluster_bits = 12,
	  .refcount_order = 4,
	  .clusters = 128,
	  .snapshots = 2,
	  .normal = 50,
	  .zero = 5,
	  .zero_allocated = 5,
	  .compressed = 10 },
	{ .name = "extended",
	  .cluster_bits = 16,
	  .refcount_order = 4,
	  .clusters = 16,
	  .extended = true,
	  .backing = true,
	  .normal = 40,
	  .zero = 20,
	  .compressed = 10 },
	{ .name = "extended-snapshot",
	  .cluster_bits = 14,
	  .refcount_order = 5,
	  .clusters = 48,
	  .extended = true,
	  .snapshots = 1,
	  .normal = 40,
	  .zero = 20,
	  .compressed = 10 },
	{ .name = "data-file",
	  .cluster_bits = 14,
	  .refcount_order = 4,
	  .clusters = 48,
	  .data_file = true,
	  .normal = 40,
	  .zero = 10,
	  .zero_allocated = 10 },
	{ .name = "data-file-raw",
	  .cluster_bits = 14,
	  .refcount_order = 4,
	  .clusters = 48,
	  .data_file = true,
	  .data_raw = true },
	{ .name = "large", .cluster_bits = 20, .refcount_order = 4, .clusters = 4, .normal = 40 },
};

const struct kind *kind_get(unsigned int index)
{
	return index < ARRAY_LENGTH(kinds) ? &kinds[index] : NULL;
}

/* ---- making one ---- */

/* Put a qcow2 in the place of the raw backing file. */
static void build_base(const struct build_options *above, struct prng *prng, struct memfile *files)
{
	const struct build_options options = {
		.version = 3,
		.cluster_bits = above->cluster_bits,
		.refcount_order = 4,
		.size = above->backing_size,
		.normal = 20,
		.compressed = 60,
	};
	struct memfile base[FILE_COUNT] = { 0 };

	build_image(&options, prng, base);
	memfile_copy(&files[FILE_BACKING], &base[FILE_IMAGE]);
	memfiles_finish(base);
}

void kind_build(const struct kind *kind, struct prng *prng, struct memfile *ret)
{
	const struct build_options options = {
		.version = kind->version ? kind->version : 3,
		.cluster_bits = kind->cluster_bits,
		.refcount_order = kind->refcount_order,
		.extended = kind->extended,
		.size = kind_disk_size(kind),
		/* Neither as long as the disk nor whole clusters. */
		.backing_size = kind->backing ? kind_disk_size(kind) / 8 * 7 + 512 : 0,
		.backing_format = kind->compressed_base ? "qcow2" : "raw",
		.data_file = kind->data_file,
		.data_raw = kind->data_raw,
		.snapshots = kind->snapshots,
		.normal = kind->normal,
		.zero = kind->zero,
		.zero_allocated = kind->zero_allocated,
		.compressed = kind->compressed,
		/* One cluster of the refcount table, with 64 entries for 64 clusters each. */
		.leaked_below = kind->leaked ? 64 * 64 - 200 : 0,
	};

	if (kind_is_raw(kind)) {
		memfile_resize(&ret[FILE_IMAGE], kind_disk_size(kind));
		build_fill(ret[FILE_IMAGE].bytes, kind_disk_size(kind) / 2, prng_next(prng));
		return;
	}
	build_image(&options, prng, ret);
	if (kind->compressed_base)
		build_base(&options, prng, ret);
}

const char *kind_file_name(const struct kind *kind, unsigned int file)
{
	static const char *const names[FILE_COUNT] = { "image.qcow2", BUILD_DATA_NAME,
						       BUILD_BACKING_NAME };

	return kind_is_raw(kind) ? "image.raw" : names[file];
}

/* ---- opening it ---- */

static int open_in(const char *directory, const char *name, bool writable)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_reference(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
			  char **ret_path, struct imgfmt_error *reterr)
{
	int fd = open_in(userdata, reference->name, reference->writable);

	if (fd < 0)
		return imgfmt_error_set(reterr, fd, "%s: %s", reference->name, strerror(-fd));
	*ret_path = strdup(reference->name);
	*ret_fd = fd;
	return *ret_path ? 0 : -ENOMEM;
}

int kind_open(const struct kind *kind, const char *directory,
	      const struct imgfmt_open_options *more, struct imgfmt_image **ret,
	      struct imgfmt_error *reterr)
{
	const struct imgfmt_gate gate = { open_reference, (void *)(uintptr_t)directory };
	const char *name = kind_file_name(kind, FILE_IMAGE);
	struct imgfmt_open_options options = *more;
	int fd = open_in(directory, name, !options.read_only);

	if (fd < 0)
		return imgfmt_error_set(reterr, fd, "%s: %s", name, strerror(-fd));
	options.path = name;
	options.format = kind_is_raw(kind) ? "raw" : "qcow2";
	options.gate = &gate;
	return imgfmt_open(fd, &options, ret, reterr);
}
