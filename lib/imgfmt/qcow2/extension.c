/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Header extensions: a list of type, length and data, and what the known types mean.
 *
 * An extension that does not end within the area is refused before its type is looked at, as QEMU
 * does. A type that occurs twice is refused where the type is known: which one counts?
 */
#include "extension.h"

#include "array.h"

#include <inttypes.h>
#include <stdio.h>

#define LONGEST_BACKING_FORMAT 15 /* what QEMU takes */
#define FEATURE_NAME_ENTRY     48 /* type, bit, name[46] */

/* One extension: @length bytes of data at @at. */
struct extension {
	uint32_t type, length;
	uint64_t at;
};

static int parse_backing_format(const struct view *view, const struct extension *extension,
				struct qcow2_header *header, struct imgfmt_error *reterr)
{
	if (extension->length > LONGEST_BACKING_FORMAT)
		return refuse(reterr, "backing file format of %u bytes is longer than %u",
			      extension->length, LONGEST_BACKING_FORMAT);
	return view_string(view, extension->at, extension->length, &header->backing_format);
}

static int parse_data_file(const struct view *view, const struct extension *extension,
			   struct qcow2_header *header, struct imgfmt_error *reterr)
{
	(void)reterr;
	return view_string(view, extension->at, extension->length, &header->data_file_name);
}

static int check_directory(const struct qcow2_header *header, struct imgfmt_error *reterr)
{
	uint64_t offset = header->bitmap_directory_offset, size = header->bitmap_directory_size;

	if (size == 0)
		return refuse(reterr, "bitmap directory of 0 bytes");
	if (size > QCOW2_MAX_BITMAP_DIRECTORY)
		return refuse(reterr,
			      "bitmap directory of %" PRIu64 " bytes is larger than %" PRIu64, size,
			      QCOW2_MAX_BITMAP_DIRECTORY);
	if (!is_aligned(offset, UINT64_C(1) << header->cluster_bits))
		return refuse(reterr,
			      "bitmap directory offset 0x%" PRIx64
			      " is not a multiple of the cluster size",
			      offset);
	if (offset > INT64_MAX - size)
		return refuse(reterr,
			      "bitmap directory offset 0x%" PRIx64 " plus its size of %" PRIu64
			      " bytes is no file offset",
			      offset, size);
	return 0;
}

/*
 * Without its autoclear bit the extension is stale: a program that does not know it changed the
 * image. Then it is there, and what it says counts for nothing.
 */
static int parse_bitmaps(const struct view *view, const struct extension *extension,
			 struct qcow2_header *header, struct imgfmt_error *reterr)
{
	uint32_t reserved = view_be32(view, extension->at + 4);

	if (extension->length != 24)
		return refuse(reterr, "bitmaps extension is %u bytes long, not 24",
			      extension->length);
	header->has_bitmaps = true;
	if (!(header->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	header->bitmap_count = view_be32(view, extension->at);
	header->bitmap_directory_size = view_be64(view, extension->at + 8);
	header->bitmap_directory_offset = view_be64(view, extension->at + 16);
	if (reserved)
		return refuse(reterr, "reserved field of the bitmaps extension is 0x%x, not 0",
			      reserved);
	if (header->bitmap_count == 0)
		return refuse(reterr, "bitmaps extension with 0 bitmaps");
	if (header->bitmap_count > QCOW2_MAX_BITMAPS)
		return refuse(reterr, "%u bitmaps are more than %u", header->bitmap_count,
			      QCOW2_MAX_BITMAPS);
	return check_directory(header, reterr);
}

static int parse_luks(const struct view *view, const struct extension *extension,
		      struct qcow2_header *header, struct imgfmt_error *reterr)
{
	if (header->crypt_method != QCOW2_CRYPT_LUKS)
		return refuse(reterr, "LUKS header extension with encryption method %u",
			      header->crypt_method);
	if (extension->length != 16)
		return refuse(reterr, "LUKS header extension is %u bytes long, not 16",
			      extension->length);
	header->has_luks = true;
	header->luks_offset = view_be64(view, extension->at);
	header->luks_length = view_be64(view, extension->at + 8);
	if (!is_aligned(header->luks_offset, UINT64_C(1) << header->cluster_bits))
		return refuse(reterr,
			      "LUKS header offset 0x%" PRIx64
			      " is not a multiple of the cluster size",
			      header->luks_offset);
	if (header->luks_offset > INT64_MAX ||
	    header->luks_length > INT64_MAX - header->luks_offset)
		return refuse(reterr,
			      "LUKS header offset 0x%" PRIx64 " plus its length of %" PRIu64
			      " bytes is no file offset",
			      header->luks_offset, header->luks_length);
	return 0;
}

static const struct {
	uint32_t type;
	const char *name;
	/* NULL: nothing of it goes into the header */
	int (*parse)(const struct view *view, const struct extension *extension,
		     struct qcow2_header *header, struct imgfmt_error *reterr);
} known_types[] = {
	{ QCOW2_EXTENSION_BACKING_FORMAT, "backing file format", parse_backing_format },
	{ QCOW2_EXTENSION_FEATURE_NAMES, "feature name table", NULL },
	{ QCOW2_EXTENSION_BITMAPS, "bitmaps", parse_bitmaps },
	{ QCOW2_EXTENSION_LUKS, "LUKS header", parse_luks },
	{ QCOW2_EXTENSION_DATA_FILE, "external data file name", parse_data_file },
};

/*
 * Read the extension at *cursor and move the cursor behind it. Returns 1; 0 at the end of the
 * extensions; -EINVAL where it does not fit into the area. The area lies within a cluster, and
 * lengths have 32 bits: nothing wraps.
 */
static int next_extension(const struct extension_area *area, uint64_t *cursor,
			  struct extension *ret, struct imgfmt_error *reterr)
{
	uint64_t at = *cursor;
	uint32_t type, length;

	if (at >= area->end)
		return 0;
	if (area->end - at < 8)
		return refuse(reterr,
			      "header extension at offset %" PRIu64
			      " exceeds its area, which ends at offset %" PRIu64,
			      at, area->end);
	type = view_be32(area->view, at);
	length = view_be32(area->view, at + 4);
	if (length > area->end - at - 8)
		return refuse(reterr,
			      "header extension 0x%08x at offset %" PRIu64
			      " of %u bytes exceeds its area, which ends at offset %" PRIu64,
			      type, at, length, area->end);
	if (type == QCOW2_EXTENSION_END)
		return 0;
	*ret = (struct extension){ type, length, at + 8 };
	*cursor = at + 8 + align_up(length, 8);
	return 1;
}

static int parse_one(const struct view *view, const struct extension *extension, unsigned int *seen,
		     struct qcow2_header *header, struct imgfmt_error *reterr)
{
	for (unsigned int i = 0; i < ARRAY_LENGTH(known_types); i++) {
		if (extension->type != known_types[i].type)
			continue;
		if (*seen & (1u << i))
			return refuse(reterr, "second %s extension at offset %" PRIu64,
				      known_types[i].name, extension->at - 8);
		*seen |= 1u << i;
		if (!known_types[i].parse)
			return 0;
		return known_types[i].parse(view, extension, header, reterr);
	}
	return 0;
}

int extension_parse_all(const struct extension_area *area, struct qcow2_header *header,
			struct imgfmt_error *reterr)
{
	uint64_t cursor = area->begin;
	struct extension extension;
	unsigned int seen = 0;
	int r;

	while ((r = next_extension(area, &cursor, &extension, reterr)) > 0) {
		r = parse_one(area->view, &extension, &seen, header, reterr);
		if (r)
			return r;
	}
	if (r)
		return r;
	if ((header->autoclear & QCOW2_AUTOCLEAR_BITMAPS) && !header->has_bitmaps)
		return refuse(reterr, "bitmaps feature bit without the bitmaps extension");
	if (header->crypt_method == QCOW2_CRYPT_LUKS && !header->has_luks)
		return refuse(reterr, "encryption method 2 without the LUKS header extension");
	return 0;
}

/* Find the feature name table. Other extensions may hold what they like. */
static bool find_feature_names(const struct extension_area *area, struct extension *ret)
{
	uint64_t cursor = area->begin;
	struct extension extension;

	while (next_extension(area, &cursor, &extension, NULL) > 0) {
		if (extension.type == QCOW2_EXTENSION_FEATURE_NAMES) {
			*ret = extension;
			return true;
		}
	}
	return false;
}

/* Find the name of an incompatible feature, at most 46 characters and a NUL. */
static bool find_name(const struct view *view, const struct extension *names, unsigned int bit,
		      char ret[static 47])
{
	for (uint32_t at = 0; names->length - at >= FEATURE_NAME_ENTRY; at += FEATURE_NAME_ENTRY) {
		uint8_t entry[FEATURE_NAME_ENTRY];

		view_copy(view, names->at + at, entry, sizeof(entry));
		if (entry[0] != 0 || entry[1] != bit || entry[2] == '\0')
			continue;
		memcpy(ret, entry + 2, 46);
		ret[46] = '\0';
		return true;
	}
	return false;
}

void extension_name_features(const struct extension_area *area, uint64_t bits, char *text,
			     size_t capacity)
{
	struct extension names = { 0 };
	size_t used = 0;

	find_feature_names(area, &names);
	text[0] = '\0';
	for (unsigned int bit = 0; bit < 64 && used < capacity; bit++) {
		char name[47];

		if (!(bits & (UINT64_C(1) << bit)))
			continue;
		if (!find_name(area->view, &names, bit, name))
			snprintf(name, sizeof(name), "bit %u", bit);
		used += (size_t)snprintf(text + used, capacity - used, "%s%s", used ? ", " : "",
					 name);
	}
	/* The names are a stranger's: nothing that a terminal would obey. */
	for (char *c = text; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}
