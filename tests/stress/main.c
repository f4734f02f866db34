/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stress: threads that read, write, zero, discard, flush and resize one open image at once.
 *
 * Each kind of image is made in a directory of its own, and has several lives: it is opened, worked
 * on by the threads, closed, and looked at: by the checker of tests/crash, by opening it again, and
 * by qemu-img where there is one. What the threads do follows from the seed; in what order it comes
 * to pass does not.
 */
#include "delays.h"
#include "kinds.h"
#include "worker.h"

#include "arguments.h"
#include "check.h"

#include "array.h"
#include "cleanup.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	uint64_t seed, lives, operations;
	unsigned int threads;
	unsigned int delays;
	const char *kind;
	const char *directory;
	bool qemu, expect_failure, keep;
};

static const char usage[] =
	"Usage: stress [OPTION...]\n"
	"  --lives=N          open each kind of image so often (default 2)\n"
	"  --operations=N     of all threads in a life (default 4000)\n"
	"  --threads=N        at once (default 6)\n"
	"  --delays=N         dawdle so often, of a thousand calls of the host (default 0)\n"
	"  --seed=N|random    what the operations follow from (default 1)\n"
	"  --kind=NAME        only this kind of image; --list names them\n"
	"  --directory=PATH   where the images are made (default $TMPDIR, or /dev/shm, or /tmp)\n"
	"  --expect-failure   succeed only if something is wrong\n"
	"  --keep             leave the images there when something is wrong\n"
	"  --list             print the kinds of images\n";

/* One image, and what is done to it. */
struct subject {
	const struct options *options;
	const struct kind *kind;
	uint64_t seed;
	char *directory;
	struct model model;
	uint64_t max_size;
	uint64_t leaks; /* clusters that were leaked from the start */
	uint8_t *content;
	uint64_t size; /* of the disk, at the end of the last life */
	struct tally *tally;
};

static bool complain(const struct subject *subject, unsigned int life, const char *what,
		     const char *why)
{
	printf("FOUND: %s, life %u: %s: %s\nagain: --kind=%s --seed=%" PRIu64 " --lives=%" PRIu64
	       " --operations=%" PRIu64 " --threads=%u --delays=%u\n",
	       subject->kind->name, life, what, why, subject->kind->name, subject->options->seed,
	       subject->options->lives, subject->options->operations, subject->options->threads,
	       subject->options->delays);
	return false;
}

/* ---- between two lives ---- */

static int load(const struct subject *subject, unsigned int file, struct memfile *ret)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *bytes = must_calloc(1, 1 << 16);
	FILE *stream;
	size_t count;

	if (asprintf(&path, "%s/%s", subject->directory, kind_file_name(subject->kind, file)) < 0)
		return -ENOMEM;
	stream = fopen(path, "re");
	if (!stream)
		return -errno;
	while ((count = fread(bytes, 1, 1 << 16, stream)) > 0)
		memfile_write(ret, bytes, count, ret->size);
	fclose(stream);
	return 0;
}

static bool check_tables(struct subject *subject, unsigned int life)
{
	struct memfile file = { 0 };
	struct check_result result = { 0 };
	char text[200];
	int r;

	if (kind_is_raw(subject->kind))
		return true;
	r = load(subject, FILE_IMAGE, &file);
	if (r == 0)
		check_image(&file, &result);
	memfile_finish(&file);
	if (r == 0 && result.errors == 0 && (life == 0 || result.leaks <= subject->leaks)) {
		subject->leaks = result.leaks;
		return true;
	}
	snprintf(text, sizeof(text), "%" PRIu64 " errors, %" PRIu64 " leaks: %s", result.errors,
		 result.leaks, result.text);
	return complain(subject, life, "the tables", text);
}

/* What is opened anew holds what the last life left. */
static bool check_content(struct subject *subject, unsigned int life)
{
	const struct imgfmt_open_options options = { .read_only = true };
	_cleanup_free_ uint8_t *content = must_calloc(1, (size_t)subject->max_size);
	struct imgfmt_error error = { "" };
	struct imgfmt_image *image;
	uint64_t size;
	int r;

	r = kind_open(subject->kind, subject->directory, &options, &image, &error);
	if (r < 0)
		return complain(subject, life, "opening it again", error.text);
	size = imgfmt_size(image);
	r = size <= subject->max_size ? imgfmt_read(image, content, (size_t)size, 0) : -EFBIG;
	imgfmt_close(image);
	if (r < 0)
		return complain(subject, life, "reading it again", strerror(-r));
	if (life > 0 && (size != subject->size || memcmp(content, subject->content, size) != 0))
		return complain(subject, life, "reading it again", "not what was there");
	memcpy(subject->content, content, (size_t)subject->max_size);
	subject->size = size;
	return true;
}

static bool check_with_qemu(const struct subject *subject, unsigned int life)
{
	_cleanup_free_ char *line = NULL, *disk = NULL;
	const char *format = kind_is_raw(subject->kind) ? "raw" : "qcow2";
	FILE *stream;
	bool right;

	if (!subject->options->qemu)
		return true;
	if (asprintf(&disk, "%s/disk", subject->directory) < 0 ||
	    /* qemu-img check says 3 where there are leaks, and nothing else. */
	    asprintf(&line,
		     "cd '%s' && exec >qemu.log 2>&1 &&"
		     " { %s qemu-img check -q -f qcow2 image.qcow2 || test $? -eq %d; } &&"
		     " qemu-img compare -f %s -F raw %s disk",
		     subject->directory, kind_is_raw(subject->kind) ? "true" : "",
		     subject->leaks > 0 ? 3 : 0, format,
		     kind_file_name(subject->kind, FILE_IMAGE)) < 0)
		return false;
	stream = fopen(disk, "we");
	right = stream && fwrite(subject->content, 1, subject->size, stream) == subject->size;
	if (!stream || fclose(stream) != 0 || !right)
		return complain(subject, life, "the disk cannot be written", strerror(errno));
	return system(line) == 0 ||
	       complain(subject, life, "qemu-img", "finds an error, or another content");
}

/* ---- a life ---- */

static bool live(struct subject *subject, unsigned int life)
{
	struct prng prng = prng_fork(subject->seed, life);
	const struct imgfmt_open_options options = {
		.cache_size = prng_chance(&prng, 70) ? 1 : 0,
		.keep_space = prng_chance(&prng, 20),
	};
	uint64_t size = subject->size, disk_size = kind_disk_size(subject->kind);
	struct work work = {
		.model = &subject->model,
		.kind = subject->kind,
		.seed = prng_next(&prng),
		.max_size = kind_can_resize(subject->kind) ? subject->max_size : size,
		.threads = subject->options->threads,
		.operations =
			(unsigned int)(subject->options->operations / subject->options->threads),
		.resizing = PTHREAD_MUTEX_INITIALIZER,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	struct imgfmt_error error = { "" };
	int r;

	for (size_t i = 0; i < ARRAY_LENGTH(work.hot); i++)
		work.hot[i] = prng_below(&prng, disk_size);
	r = kind_open(subject->kind, subject->directory, &options, &work.image, &error);
	if (r < 0)
		return complain(subject, life, "opening it", error.text);
	model_open_life(&subject->model, subject->content, size,
			kind_can_resize(subject->kind) ? disk_size / 4 * 3 / SECTOR * SECTOR :
							 disk_size);
	work_run(&work);
	if (work.error[0] == '\0' && work_read_all(&work, subject->content))
		subject->size = imgfmt_size(work.image);
	r = imgfmt_close(work.image);
	subject->tally->operations += work.tally.operations;
	subject->tally->refused += work.tally.refused;
	subject->tally->bytes += work.tally.bytes;
	if (work.error[0] != '\0')
		return complain(subject, life, "work", work.error);
	return r == 0 || complain(subject, life, "closing it", strerror(-r));
}

static int write_file(const char *path, const struct memfile *file)
{
	FILE *stream = fopen(path, "we");
	bool written;

	if (!stream)
		return -errno;
	written = fwrite(file->bytes, 1, (size_t)file->size, stream) == file->size;
	return fclose(stream) == 0 && written ? 0 : -EIO;
}

static int make_image(struct subject *subject)
{
	struct prng prng = prng_fork(subject->seed, 1000);
	struct memfile files[FILE_COUNT] = { 0 };
	int r = 0;

	kind_build(subject->kind, &prng, files);
	for (unsigned int i = 0; i < FILE_COUNT && r == 0; i++) {
		_cleanup_free_ char *path = NULL;

		if (files[i].size == 0)
			continue;
		if (asprintf(&path, "%s/%s", subject->directory, kind_file_name(subject->kind, i)) <
		    0)
			exit(2);
		r = write_file(path, &files[i]);
	}
	memfiles_finish(files);
	return r;
}

static bool live_all(struct subject *subject)
{
	int r = make_image(subject);
	bool right;

	if (r < 0)
		return complain(subject, 0, "cannot be made", strerror(-r));
	right = check_tables(subject, 0) && check_content(subject, 0) &&
		check_with_qemu(subject, 0);
	for (unsigned int life = 1; life <= subject->options->lives && right; life++)
		right = live(subject, life) && check_tables(subject, life) &&
			check_content(subject, life) && check_with_qemu(subject, life);
	return right;
}

static bool try_kind(const struct options *options, const struct kind *kind, unsigned int number,
		     struct tally *tally)
{
	struct subject subject = {
		.options = options,
		.kind = kind,
		.seed = prng_mix(options->seed) + number,
		.max_size = kind_disk_size(kind) / 4 * 5 / SECTOR * SECTOR,
		.tally = tally,
	};
	_cleanup_free_ char *line = NULL;
	bool right;

	subject.content = must_calloc(1, (size_t)subject.max_size);
	if (asprintf(&subject.directory, "%s/imgfuse-stress-XXXXXX", options->directory) < 0 ||
	    !mkdtemp(subject.directory) || asprintf(&line, "rm -rf '%s'", subject.directory) < 0) {
		fprintf(stderr, "%s: cannot make a directory\n", options->directory);
		exit(2);
	}
	model_init(&subject.model, subject.max_size, options->operations);
	right = live_all(&subject);
	model_finish(&subject.model);
	if (!right && options->keep)
		printf("left in %s\n", subject.directory);
	else if (system(line) != 0)
		fprintf(stderr, "cannot remove %s\n", subject.directory);
	free(subject.directory);
	free(subject.content);
	return right;
}

static int run_all(const struct options *options)
{
	struct tally tally = { 0 };
	unsigned int number = 0, tried = 0;
	const struct kind *kind;
	bool right = true;

	for (; right && (kind = kind_get(number)); number++) {
		if (options->kind && strcmp(options->kind, kind->name) != 0)
			continue;
		right = try_kind(options, kind, number, &tally);
		tried++;
	}
	if (tried == 0) {
		fprintf(stderr, "there is no kind %s\n", options->kind);
		return 2;
	}
	printf("seed %" PRIu64 ": %" PRIu64
	       " operations by %u threads on %u kinds of images, %" PRIu64 " MiB moved, %" PRIu64
	       " refused beyond the end; %s\n",
	       options->seed, tally.operations, options->threads, tried, tally.bytes >> 20,
	       tally.refused, right ? "no errors" : "something is wrong");
	return right != options->expect_failure ? 0 : 1;
}

/* ---- options ---- */

static const struct option long_options[] = {
	{ "lives", required_argument, NULL, 'l' },
	{ "operations", required_argument, NULL, 'o' },
	{ "threads", required_argument, NULL, 't' },
	{ "delays", required_argument, NULL, 'D' },
	{ "seed", required_argument, NULL, 's' },
	{ "kind", required_argument, NULL, 'k' },
	{ "directory", required_argument, NULL, 'd' },
	{ "expect-failure", no_argument, NULL, 'f' },
	{ "keep", no_argument, NULL, 'K' },
	{ "list", no_argument, NULL, 'L' },
	{ 0 },
};

static void take_option(struct options *options, int code, const char *argument)
{
	switch (code) {
	case 'l':
		options->lives = arguments_number(argument);
		break;
	case 'o':
		options->operations = arguments_number(argument);
		break;
	case 't':
		options->threads = (unsigned int)arguments_number(argument);
		break;
	case 'D':
		options->delays = (unsigned int)arguments_number(argument);
		break;
	case 's':
		options->seed = arguments_number(argument);
		break;
	case 'k':
		options->kind = argument;
		break;
	case 'd':
		options->directory = argument;
		break;
	case 'f':
		options->expect_failure = true;
		break;
	case 'K':
		options->keep = true;
		break;
	case 'L':
		for (unsigned int i = 0; kind_get(i); i++)
			printf("%s\n", kind_get(i)->name);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	const char *directory = getenv("TMPDIR");
	struct options options = {
		.seed = 1,
		.lives = 2,
		.operations = 4000,
		.threads = 6,
		.directory = directory                     ? directory :
			     access("/dev/shm", W_OK) == 0 ? "/dev/shm" :
							     "/tmp",
	};
	int code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(&options, code, optarg);
	if (optind != argc || options.threads == 0 || options.threads > WORK_MAX_THREADS) {
		fputs(usage, stderr);
		return 2;
	}
	delays_set(options.delays);
	options.qemu = system("qemu-img --version >/dev/null 2>&1") == 0;
	return run_all(&options);
}
