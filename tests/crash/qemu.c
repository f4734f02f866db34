/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second opinion; see qemu.h. */
#include "qemu.h"

#include "align.h"
#include "build.h"
#include "cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[FILE_COUNT] = { "image.qcow2", BUILD_DATA_NAME, BUILD_BACKING_NAME };

bool qemu_is_available(void)
{
	return system("qemu-img --version >/dev/null 2>&1") == 0;
}

static int save(const struct memfile *file, const char *directory, const char *name)
{
	_cleanup_free_ char *path = NULL;
	FILE *stream;
	size_t written;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	stream = fopen(path, "we");
	if (!stream)
		return -errno;
	written = fwrite(file->bytes, 1, (size_t)file->size, stream);
	if (fclose(stream) != 0 || written != file->size)
		return -EIO;
	return 0;
}

int qemu_save(const struct memfile *files, const char *directory)
{
	for (unsigned int i = 0; i < FILE_COUNT; i++) {
		int r = files[i].size > 0 ? save(&files[i], directory, names[i]) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* Run a command in a directory, and get what it prints (malloc'ed), however it ends: as wait(2). */
static char *run(const char *directory, const char *command, size_t *ret_length, int *ret_status)
{
	_cleanup_free_ char *line = NULL;
	char *output = NULL;
	size_t length = 0, capacity = 0, count;
	FILE *stream;

	if (asprintf(&line, "cd '%s' && %s", directory, command) < 0)
		return NULL;
	stream = popen(line, "re");
	if (!stream)
		return NULL;
	do {
		if (capacity - length < 4096) {
			char *grown = realloc(output, capacity = capacity * 2 + 8192);

			if (!grown)
				break;
			output = grown;
		}
		count = fread(output + length, 1, capacity - length - 1, stream);
		length += count;
	} while (count > 0);
	*ret_status = pclose(stream);
	if (output)
		output[length] = '\0';
	*ret_length = length;
	return output;
}

/* A number of the report; what is 0 is not in it. */
static uint64_t get_number(const char *report, const char *name)
{
	const char *at = strstr(report, name);

	at = at ? strchr(at, ':') : NULL;
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void compare_check(const char *directory, const struct judgement *judgement, char *text,
			  size_t capacity)
{
	_cleanup_free_ char *report = NULL;
	uint64_t corruptions, leaks;
	size_t length;
	int status = -1;

	report = run(directory, "qemu-img check -f qcow2 --output=json image.qcow2 2>&1", &length,
		     &status);
	if (!report || !strstr(report, "\"check-errors\"")) {
		snprintf(text, capacity, "qemu-img check does not work: status 0x%x, it says '%s'",
			 (unsigned int)status, report ? report : "");
		return;
	}
	corruptions =
		get_number(report, "\"corruptions\"") + get_number(report, "\"check-errors\"");
	leaks = get_number(report, "\"leaks\"");
	if ((corruptions > 0) != (judgement->errors > 0) ||
	    (corruptions == 0 && leaks != judgement->leaks))
		snprintf(text, capacity,
			 "qemu-img counts %" PRIu64 " error(s) and %" PRIu64
			 " leak(s), the checker %" PRIu64 " and %" PRIu64,
			 corruptions, leaks, judgement->errors, judgement->leaks);
}

static void compare_content(const char *directory, const struct judgement *judgement, char *text,
			    size_t capacity)
{
	_cleanup_free_ char *content = NULL;
	size_t length;
	int status;

	content = run(directory,
		      "qemu-img convert -f qcow2 -O raw image.qcow2 disk 2>/dev/null && cat disk",
		      &length, &status);
	if (!content || length != judgement->size ||
	    memcmp(content, judgement->content, length) != 0)
		snprintf(text, capacity, "qemu-img reads something else from the disk");
}

static void remove_directory(const char *directory)
{
	_cleanup_free_ char *line = NULL;

	if (asprintf(&line, "rm -rf '%s'", directory) > 0 && system(line) != 0)
		fprintf(stderr, "cannot remove %s\n", directory);
}

void qemu_compare(const struct memfile *files, const struct judgement *judgement, char *text,
		  size_t capacity)
{
	const char *parent = getenv("TMPDIR");
	_cleanup_free_ char *directory = NULL;

	if (asprintf(&directory, "%s/imgfuse-crash-XXXXXX", parent ? parent : "/tmp") < 0 ||
	    !mkdtemp(directory)) {
		snprintf(text, capacity, "cannot make a directory: %s", strerror(errno));
		return;
	}
	if (qemu_save(files, directory) < 0)
		snprintf(text, capacity, "cannot write to %s", directory);
	else
		compare_check(directory, judgement, text, capacity);
	/* Of damaged images anybody may read what they like. */
	if (text[0] == '\0' && judgement->errors == 0 && judgement->size > 0 &&
	    judgement->text[0] == '\0')
		compare_content(directory, judgement, text, capacity);
	remove_directory(directory);
}
