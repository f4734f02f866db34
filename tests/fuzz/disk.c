/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images from inputs; see disk.h. */
#include "disk.h"

#include "host.h"

#include "align.h"

#include <errno.h>

/* Not a multiple of anything. */
#define BACKING_SIZE 40007u

#define DATA_SIZE 300000u

int disk_first_result;

/* Neither zero anywhere nor the same twice in a row. Only what is asked for is made. */
static void fill_file(enum host_file file, uint64_t size)
{
	uint8_t bytes[4096];

	if (file == HOST_IMAGE || host_size(file) > 0)
		return;

	for (uint64_t at = 0; at < size; at += sizeof(bytes)) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)((at / sizeof(bytes) + i * 7) % 255 + 1);
		host_put(file, bytes, (size_t)min_u64(size - at, sizeof(bytes)), at);
	}
}

void disk_load(struct disk *disk, const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	uint64_t file_size;

	*disk = (struct disk){ .flags = (unsigned int)input_number(&input, 1) };
	disk_first_result = 1;
	host_reset();
	disk->operations.bytes =
		input_take(&input, (size_t)input_number(&input, 1) * DISK_OPERATION_SIZE,
			   &disk->operations.count);
	file_size = input_number(&input, 8);
	while (input.count > 0) {
		uint64_t offset = input_number(&input, 6);
		size_t length = (size_t)input_number(&input, 2);
		const uint8_t *bytes = input_take(&input, length, &length);

		host_put(HOST_IMAGE, bytes, length, offset);
	}
	host_resize(HOST_IMAGE, file_size);
}

static int open_reference(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
			  char **ret_path, struct imgfmt_error *reterr)
{
	enum host_file file = HOST_DATA;

	(void)userdata;
	MUST(reference->referrer);
	if (reference->kind == IMGFMT_BACKING_FILE) {
		MUST(reference->name && !reference->writable);
		file = strchr(reference->name, '@') ? HOST_IMAGE : HOST_BACKING;
	}
	fill_file(file, file == HOST_DATA ? DATA_SIZE : BACKING_SIZE);
	*ret_path = strdup(reference->name ? reference->name : "data");
	if (!*ret_path)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	*ret_fd = host_open(file);
	return 0;
}

static void take_warning(void *userdata, const char *message)
{
	struct disk *disk = userdata;

	MUST(strlen(message) > 0);
	if (getenv("FUZZ_TRACE"))
		fprintf(stderr, "%s\n", message);
	if (strstr(message, ": is corrupt: "))
		disk->corrupt = true;
}

static void check_refusal(int r, const struct imgfmt_error *error)
{
	MUST(r == -EIO || r == -EUCLEAN || r == -EINVAL || r == -ENOTSUP || r == -EROFS ||
	     r == -EACCES || r == -ENOMEM);
	MUST(memchr(error->text, '\0', sizeof(error->text)));
	MUST(error->text[0] != '\0');
}

int disk_open(struct disk *disk, unsigned int flags, const char *snapshot)
{
	const struct imgfmt_gate gate = { .open = open_reference };
	const struct imgfmt_open_options options = {
		.path = "image",
		.format = flags & DISK_RAW ? "raw" : NULL,
		.snapshot = snapshot,
		.passphrase = flags & DISK_PASSPHRASE ? "passphrase" : NULL,
		.read_only = flags & DISK_READ_ONLY,
		.describe_only = flags & DISK_DESCRIBE_ONLY,
		.keep_space = flags & DISK_KEEP_SPACE,
		.cache_size = flags & DISK_SMALL_CACHE ? 1 : 256 << 10,
		.gate = &gate,
		.warn = take_warning,
		.userdata = disk,
	};
	struct imgfmt_error error = { "" };
	int r;

	disk->corrupt = false;
	disk->image = NULL;
	r = CALL(imgfmt_open(host_open(HOST_IMAGE), &options, &disk->image, &error));
	if (disk_first_result > 0)
		disk_first_result = r;
	if (r < 0)
		check_refusal(r, &error);
	MUST((r == 0) == (disk->image != NULL));
	return r;
}

int disk_close(struct disk *disk)
{
	int r = CALL(imgfmt_close(disk->image));

	disk->image = NULL;
	return r;
}
