/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QCOW version 1 images that qemu-img wrote: what we read from them is what it reads. */
#include "test.h"

#include "imgfmt.h"

#include <errno.h>
#include <inttypes.h>

/* Something of everything: zeroes, text, noise, in pieces of all lengths. */
static void make_source(const char *path)
{
	size_t size = 3 * 1024 * 1024 + 512, at = 0;
	uint8_t *bytes = calloc(1, size);
	unsigned int seed = 1;
	FILE *file;

	CHECK(bytes);
	while (at < size) {
		size_t length = (size_t)rand_r(&seed) % 20000 + 1;
		int kind = rand_r(&seed) % 3;

		for (size_t i = 0; i < length && at < size; i++, at++)
			bytes[at] = kind == 0 ? 0 :
				    kind == 1 ? (uint8_t)(i % 77) :
						(uint8_t)rand_r(&seed);
	}
	file = fopen(path, "w");
	CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
	free(bytes);
}

static int directory_gate_open(void *userdata, const struct imgfmt_reference *reference,
			       int *ret_fd, char **ret_path, struct imgfmt_error *reterr)
{
	(void)userdata;
	*ret_fd = open(reference->name, O_RDONLY | O_CLOEXEC);
	*ret_path = strdup(reference->name);
	return *ret_fd < 0 ? imgfmt_error_set(reterr, -errno, "cannot open") : 0;
}

/* Is what we read, in pieces of @step bytes, what qemu-img reads from the image? */
static void compare(const char *name, const char *raw, size_t step)
{
	const struct imgfmt_gate gate = { directory_gate_open, NULL };
	const struct imgfmt_open_options options = {
		.path = name,
		.read_only = true,
		.gate = &gate,
	};
	struct imgfmt_error error = { "" };
	int fd = open(name, O_RDONLY | O_CLOEXEC), reference = open(raw, O_RDONLY | O_CLOEXEC);
	char *ours = malloc(step), *theirs = malloc(step);
	struct imgfmt_image *image;

	CHECK(fd >= 0 && reference >= 0 && ours && theirs);
	if (imgfmt_open(fd, &options, &image, &error) < 0)
		test_failed(__FILE__, __LINE__, "%s: %s", name, error.text);
	CHECK_EQUAL(lseek(reference, 0, SEEK_END), imgfmt_size(image));
	for (uint64_t at = 0; at < imgfmt_size(image); at += step) {
		size_t count =
			imgfmt_size(image) - at < step ? (size_t)(imgfmt_size(image) - at) : step;

		CHECK_EQUAL(imgfmt_read(image, ours, count, at), 0);
		CHECK(pread(reference, theirs, count, (off_t)at) == (ssize_t)count);
		if (memcmp(ours, theirs, count) != 0)
			test_failed(__FILE__, __LINE__, "%s differs from 0x%" PRIx64 " on", name,
				    at);
	}
	imgfmt_close(image);
	free(ours);
	free(theirs);
	close(reference);
}

static void run(const char *command)
{
	if (system(command) != 0)
		test_failed(__FILE__, __LINE__, "failed: %s", command);
}

static void test_qemu(void)
{
	static const char *const names[] = { "plain", "compressed", "over" };

	make_source("source");
	run("qemu-img convert -f raw -O qcow source plain");
	/* QEMU 7.2 exits with an error here after having written everything. */
	if (system("qemu-img convert -c -f raw -O qcow source compressed") != 0)
		run("qemu-img compare -q -f raw -F qcow source compressed");
	run("qemu-io -f qcow -c 'write -P 9 70000 5000' -c 'write -P 8 2m 70000' compressed >out");
	run("qemu-img create -q -f qcow -b compressed -F qcow over");
	run("qemu-io -f qcow -c 'write -P 7 0 1000' -c 'write -P 6 100k 1' over >out");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char command[100];

		snprintf(command, sizeof(command), "qemu-img convert -f qcow -O raw %s reference",
			 names[i]);
		run(command);
		compare(names[i], "reference", 1000);
		compare(names[i], "reference", 1000000);
	}
}

/* Run in a child, so that the directory goes away however it ends. */
static int test_qemu_in_directory(void)
{
	char directory[] = "/tmp/imgfuse-test-XXXXXX", command[100];
	int r;

	CHECK(mkdtemp(directory));
	snprintf(command, sizeof(command), "cd %s && exec /proc/%d/exe --in-directory", directory,
		 (int)getpid());
	r = system(command);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	run(command);
	return r;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--in-directory") == 0) {
		test_qemu();
		return 0;
	}
	if (system("qemu-img --version >/dev/null 2>&1") != 0) {
		printf("qemu-img is not installed\n");
		return TEST_SKIPPED;
	}
	return test_qemu_in_directory() == 0 ? 0 : 1;
}
