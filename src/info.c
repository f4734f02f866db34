/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Printing struct imgfmt_info. Names come from images and from file systems, so anything may
 * stand in them: the text shows what is not printable in octal; the JSON is always valid UTF-8,
 * escapes the same characters, and has U+FFFD for a byte that belongs to none.
 */
#include "info.h"

#include "printable.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

struct human_size human_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	struct human_size ret;
	unsigned int unit = 0;

	/* the next unit from 1000 on, so that three digits are enough */
	while (value >= 1000 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		value /= 1024;
		unit++;
	}
	snprintf(ret.text, sizeof(ret.text), "%.3g %s", value, units[unit]);
	return ret;
}

/* ---- for people ---- */

static void print_padded_name(FILE *out, const char *name, int width)
{
	int columns = print_printable(out, name);

	fprintf(out, "%*s  ", width > columns ? width - columns : 0, "");
}

static void print_field(FILE *out, const char *field, const char *value)
{
	fprintf(out, "%s: ", field);
	print_printable(out, value);
	fputc('\n', out);
}

static void print_backing(FILE *out, const struct imgfmt_info *info, struct imgfmt_image *backing)
{
	struct imgfmt_info below;

	fputs("backing file: ", out);
	print_printable(out, info->backing_name);
	if (backing) {
		imgfmt_get_info(backing, &below);
		if (strcmp(below.path, info->backing_name) != 0) {
			fputs(" (actual path: ", out);
			print_printable(out, below.path);
			fputc(')', out);
		}
	}
	fputc('\n', out);
	if (info->backing_format)
		print_field(out, "backing file format", info->backing_format);
}

static void print_snapshots(FILE *out, struct imgfmt_image *image)
{
	struct imgfmt_snapshot snapshot;

	for (unsigned int i = 0; imgfmt_get_snapshot(image, i, &snapshot) == 0; i++) {
		struct tm date;
		char text[32] = "";
		time_t seconds = (time_t)snapshot.seconds;

		if (i == 0)
			fprintf(out, "Snapshot list:\n%-8s  %-24s  %-10s  %-10s  %s\n", "ID",
				"NAME", "DISK SIZE", "VM STATE", "DATE");
		if (localtime_r(&seconds, &date))
			strftime(text, sizeof(text), "%F %T", &date);
		print_padded_name(out, snapshot.id, 8);
		print_padded_name(out, snapshot.name, 24);
		fprintf(out, "%-10s  ", human_size(snapshot.size).text);
		fprintf(out, "%-10s  %s\n", human_size(snapshot.vm_state_size).text, text);
	}
}

void info_print(FILE *out, struct imgfmt_image *image, const char *name)
{
	struct imgfmt_info info;

	for (; image; image = imgfmt_backing(image), name = NULL) {
		imgfmt_get_info(image, &info);
		if (!name)
			fputc('\n', out);
		print_field(out, "image", name ? name : info.path);
		print_field(out, "file format", info.format);
		fprintf(out, "virtual size: %s (%ju bytes)\n", human_size(info.size).text,
			(uintmax_t)info.size);
		fprintf(out, "disk size: %s\n", human_size(info.allocated).text);
		if (info.encryption)
			fprintf(out, "encrypted: yes (%s)\n", info.encryption);
		if (info.dirty)
			fputs("cleanly shut down: no\n", out);
		if (info.cluster_size)
			fprintf(out, "cluster_size: %ju\n", (uintmax_t)info.cluster_size);
		if (info.data_file_name)
			print_field(out, "data file", info.data_file_name);
		if (info.backing_name)
			print_backing(out, &info, imgfmt_backing(image));
		print_snapshots(out, image);
		if (info.feature_count > 0)
			fputs("Format specific information:\n", out);
		for (unsigned int i = 0; i < info.feature_count; i++) {
			fputs("    ", out);
			print_field(out, info.features[i].name, info.features[i].value);
		}
	}
}

/* ---- for machines ---- */

static void print_json_string(FILE *out, const char *string)
{
	unsigned int length;
	uint32_t code;

	fputc('"', out);
	for (const char *c = string; *c; c += length) {
		length = utf8_character(c, &code);
		if (length == 0) {
			fputs("\\ufffd", out);
			length = 1;
		} else if (!is_printable(code)) { /* of four digits, all of them */
			fprintf(out, "\\u%04x", code);
		} else {
			if (*c == '"' || *c == '\\')
				fputc('\\', out);
			fwrite(c, 1, length, out);
		}
	}
	fputc('"', out);
}

static void print_json_field(FILE *out, const char *key, const char *value)
{
	fprintf(out, ", \"%s\": ", key);
	print_json_string(out, value);
}

/* A feature's value, as the number or truth that it looks like: JSON has types. */
static void print_json_value(FILE *out, const char *value)
{
	bool number = *value && strlen(value) < 16 && value[strspn(value, "0123456789")] == '\0' &&
		      (value[0] != '0' || value[1] == '\0');

	if (number || strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
		fputs(value, out);
	else
		print_json_string(out, value);
}

static void print_json_features(FILE *out, const struct imgfmt_info *info)
{
	fputs(", \"format-specific\": {\"type\": ", out);
	print_json_string(out, info->format);
	fputs(", \"data\": {", out);
	for (unsigned int i = 0; i < info->feature_count; i++) {
		char key[sizeof(info->features[i].name)];

		snprintf(key, sizeof(key), "%s", info->features[i].name);
		for (char *c = key; *c; c++)
			if (*c == ' ')
				*c = '-';
		fputs(i > 0 ? ", " : "", out);
		print_json_string(out, key);
		fputs(": ", out);
		print_json_value(out, info->features[i].value);
	}
	fputs("}}", out);
}

static void print_json_snapshots(FILE *out, struct imgfmt_image *image)
{
	struct imgfmt_snapshot snapshot;
	unsigned int i;

	for (i = 0; imgfmt_get_snapshot(image, i, &snapshot) == 0; i++) {
		fputs(i > 0 ? ", {\"id\": " : ", \"snapshots\": [{\"id\": ", out);
		print_json_string(out, snapshot.id);
		print_json_field(out, "name", snapshot.name);
		fprintf(out, ", \"disk-size\": %ju, \"vm-state-size\": %ju, \"date-sec\": %jd}",
			(uintmax_t)snapshot.size, (uintmax_t)snapshot.vm_state_size,
			(intmax_t)snapshot.seconds);
	}
	if (i > 0)
		fputc(']', out);
}

void info_print_json(FILE *out, struct imgfmt_image *image, const char *name)
{
	struct imgfmt_info info, below;
	unsigned int depth = 0;

	for (; image; image = imgfmt_backing(image), depth++) {
		imgfmt_get_info(image, &info);
		fputs(depth > 0 ? ", \"backing-image\": {\"filename\": " : "{\"filename\": ", out);
		print_json_string(out, depth > 0 ? info.path : name);
		print_json_field(out, "format", info.format);
		fprintf(out, ", \"virtual-size\": %ju, \"actual-size\": %ju", (uintmax_t)info.size,
			(uintmax_t)info.allocated);
		if (info.cluster_size)
			fprintf(out, ", \"cluster-size\": %ju", (uintmax_t)info.cluster_size);
		fprintf(out, ", \"dirty-flag\": %s", info.dirty ? "true" : "false");
		if (info.encryption) {
			fputs(", \"encrypted\": true", out);
			print_json_field(out, "encryption", info.encryption);
		}
		if (info.data_file_name)
			print_json_field(out, "data-file", info.data_file_name);
		if (info.feature_count > 0)
			print_json_features(out, &info);
		print_json_snapshots(out, image);
		if (info.backing_name)
			print_json_field(out, "backing-filename", info.backing_name);
		if (info.backing_name && imgfmt_backing(image)) {
			imgfmt_get_info(imgfmt_backing(image), &below);
			print_json_field(out, "full-backing-filename", below.path);
		}
		if (info.backing_format)
			print_json_field(out, "backing-filename-format", info.backing_format);
	}
	while (depth-- > 0)
		fputc('}', out);
	fputc('\n', out);
}
