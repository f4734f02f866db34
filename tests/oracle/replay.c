/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay: operations on an image, read from standard input, straight through libimgfmt.
 *
 *	replay [--read-only] [--snapshot=NAME] [--keep-space] [--cache=BYTES] IMAGE < SCRIPT
 *
 * One operation a line; numbers are decimal, SEED names what data.h makes of it:
 *
 *	write OFFSET LENGTH SEED	zero OFFSET LENGTH	discard OFFSET LENGTH
 *	read OFFSET LENGTH CRC32	size BYTES		truncate SIZE
 *	truncate-refused SIZE		flush			writeback
 *	reopen				map			die
 *	parallel THREADS		end
 *
 * "read" and "size" compare. "map" prints "data OFFSET LENGTH" or "hole OFFSET LENGTH" for the
 * whole disk, and fails where a hole does not read as zeroes. "die" ends the process at once,
 * without closing. Lines between "parallel" and "end" are done by several threads; those of them
 * that write share no byte with another line, which they may with its clusters.
 *
 * Exits with 0, or with 1 and a line on standard error that says which line failed and how.
 */
#include "array.h"
#include "bytes.h"
#include "cleanup.h"
#include "data.h"
#include "gate.h"
#include "imgfmt.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <zlib.h>

#define MAX_THREADS     16
#define MAX_PARALLEL    256
#define MAP_READ_LENGTH 65536

struct operation {
	char name[32];
	uint64_t arguments[3];
	unsigned int line;
};

struct replay {
	const char *path;
	struct imgfmt_open_options options;
	struct imgfmt_image *image;
};

/* A block of operations that several threads take from, each the next one. */
struct parallel {
	struct replay *replay;
	struct operation operations[MAX_PARALLEL];
	unsigned int count;
	_Atomic unsigned int next;
};

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const struct operation *operation,
								 const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	if (operation)
		fprintf(stderr, "line %u: %s %" PRIu64 " %" PRIu64 ": ", operation->line,
			operation->name, operation->arguments[0], operation->arguments[1]);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	_exit(1);
}

static void *allocate(uint64_t count)
{
	void *buffer = malloc(count ? (size_t)count : 1);

	if (!buffer)
		fail(NULL, "out of memory");
	return buffer;
}

/* ---- opening ---- */

/* There is nothing about these images that a user would have to be told. */
__attribute__((noreturn)) static void warn(void *userdata, const char *message)
{
	(void)userdata;
	fail(NULL, "warning: %s", message);
}

static void open_image(struct replay *replay)
{
	struct gate gate = { .references = REFERENCES_ALL, .image = replay->path };
	const struct imgfmt_gate opener = gate_make(&gate);
	struct imgfmt_error error = { "" };
	int fd, r;

	replay->options.path = replay->path;
	replay->options.gate = &opener;
	replay->options.warn = warn;
	fd = open(replay->path, (replay->options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		fail(NULL, "%s: %s", replay->path, strerror(errno));
	r = imgfmt_open(fd, &replay->options, &replay->image, &error);
	if (r < 0)
		fail(NULL, "opening failed: %s", error.text);
}

static void close_image(struct replay *replay)
{
	int r = imgfmt_close(replay->image);

	replay->image = NULL;
	if (r < 0)
		fail(NULL, "closing failed: %s", strerror(-r));
}

/* ---- operations ---- */

static int do_write(struct replay *replay, const struct operation *operation)
{
	_cleanup_free_ uint8_t *buffer = allocate(operation->arguments[1]);

	fill_data(buffer, operation->arguments[1], operation->arguments[2]);
	return imgfmt_write(replay->image, buffer, operation->arguments[1],
			    operation->arguments[0]);
}

static int do_zero(struct replay *replay, const struct operation *operation)
{
	return imgfmt_zero(replay->image, operation->arguments[0], operation->arguments[1],
			   IMGFMT_ZERO_KEEP);
}

static int do_discard(struct replay *replay, const struct operation *operation)
{
	return imgfmt_zero(replay->image, operation->arguments[0], operation->arguments[1],
			   IMGFMT_ZERO_DISCARD);
}

static int do_read(struct replay *replay, const struct operation *operation)
{
	uint64_t count = operation->arguments[1];
	_cleanup_free_ uint8_t *buffer = allocate(count);
	uint64_t crc;
	int r;

	memset(buffer, 0xa5, count);
	r = imgfmt_read(replay->image, buffer, count, operation->arguments[0]);
	if (r < 0)
		return r;
	crc = crc32_z(0, buffer, count);
	if (crc != operation->arguments[2])
		fail(operation, "read CRC %" PRIu64 ", expected %" PRIu64, crc,
		     operation->arguments[2]);
	return 0;
}

static int do_size(struct replay *replay, const struct operation *operation)
{
	if (imgfmt_size(replay->image) != operation->arguments[0])
		fail(operation, "the size is %" PRIu64, imgfmt_size(replay->image));
	return 0;
}

static int do_truncate(struct replay *replay, const struct operation *operation)
{
	return imgfmt_truncate(replay->image, operation->arguments[0]);
}

static int do_truncate_refused(struct replay *replay, const struct operation *operation)
{
	uint64_t size = imgfmt_size(replay->image);
	int r = imgfmt_truncate(replay->image, operation->arguments[0]);

	if (r != -ENOTSUP)
		fail(operation, "returned %d instead of -ENOTSUP", r);
	if (imgfmt_size(replay->image) != size)
		fail(operation, "the size changed all the same");
	return 0;
}

static int do_flush(struct replay *replay, const struct operation *operation)
{
	(void)operation;
	return imgfmt_flush(replay->image);
}

static int do_writeback(struct replay *replay, const struct operation *operation)
{
	(void)operation;
	return imgfmt_writeback(replay->image);
}

static int do_reopen(struct replay *replay, const struct operation *operation)
{
	(void)operation;
	close_image(replay);
	open_image(replay);
	return 0;
}

static int check_hole(struct replay *replay, const struct operation *operation, uint64_t offset,
		      uint64_t length)
{
	static uint8_t buffer[MAP_READ_LENGTH];

	while (length > 0) {
		size_t count = length < sizeof(buffer) ? (size_t)length : sizeof(buffer);
		int r = imgfmt_read(replay->image, buffer, count, offset);

		if (r < 0)
			return r;
		if (!all_zero(buffer, count))
			fail(operation, "the hole at %" PRIu64 " reads as something", offset);
		offset += count;
		length -= count;
	}
	return 0;
}

static int do_map(struct replay *replay, const struct operation *operation)
{
	uint64_t size = imgfmt_size(replay->image), length;
	bool data;
	int r;

	for (uint64_t at = 0; at < size; at += length) {
		r = imgfmt_status(replay->image, at, size - at, &data, &length);
		if (r < 0)
			return r;
		if (length == 0 || length > size - at)
			fail(operation, "status at %" PRIu64 " has length %" PRIu64, at, length);
		printf("%s %" PRIu64 " %" PRIu64 "\n", data ? "data" : "hole", at, length);
		r = data ? 0 : check_hole(replay, operation, at, length);
		if (r < 0)
			return r;
	}
	return 0;
}

static int do_die(struct replay *replay, const struct operation *operation)
{
	(void)replay;
	(void)operation;
	fflush(stdout);
	_exit(0);
}

static const struct {
	const char *name;
	int (*run)(struct replay *replay, const struct operation *operation);
} known[] = {
	{ "write", do_write },
	{ "zero", do_zero },
	{ "discard", do_discard },
	{ "read", do_read },
	{ "size", do_size },
	{ "truncate", do_truncate },
	{ "truncate-refused", do_truncate_refused },
	{ "flush", do_flush },
	{ "writeback", do_writeback },
	{ "reopen", do_reopen },
	{ "map", do_map },
	{ "die", do_die },
};

static void run(struct replay *replay, const struct operation *operation)
{
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		int r;

		if (strcmp(known[i].name, operation->name) != 0)
			continue;
		r = known[i].run(replay, operation);
		if (r < 0)
			fail(operation, "%s", strerror(-r));
		return;
	}
	fail(operation, "no such operation");
}

/* ---- the script ---- */

/* Read the next line. Returns false at the end of the script. */
static bool next_operation(struct operation *ret)
{
	static unsigned int line;
	char text[128];

	if (!fgets(text, sizeof(text), stdin))
		return false;
	*ret = (struct operation){ .line = ++line };
	if (sscanf(text, "%31s %" SCNu64 " %" SCNu64 " %" SCNu64, ret->name, &ret->arguments[0],
		   &ret->arguments[1], &ret->arguments[2]) < 1)
		fail(ret, "not an operation");
	return true;
}

static void *work(void *userdata)
{
	struct parallel *parallel = userdata;

	for (;;) {
		unsigned int i = atomic_fetch_add(&parallel->next, 1);

		if (i >= parallel->count)
			return NULL;
		run(parallel->replay, &parallel->operations[i]);
	}
}

static void run_parallel(struct replay *replay, const struct operation *begin)
{
	static struct parallel parallel;
	uint64_t threads = begin->arguments[0];
	pthread_t ids[MAX_THREADS];

	parallel.replay = replay;
	parallel.count = 0;
	parallel.next = 0;
	for (;;) {
		struct operation *operation = &parallel.operations[parallel.count];

		if (!next_operation(operation))
			fail(begin, "without an end");
		if (strcmp(operation->name, "end") == 0)
			break;
		if (++parallel.count == MAX_PARALLEL)
			fail(begin, "too many operations");
	}
	if (threads == 0 || threads > MAX_THREADS)
		fail(begin, "wants between 1 and %d threads", MAX_THREADS);
	for (unsigned int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, &parallel) != 0)
			fail(begin, "cannot create a thread");
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

static void parse_options(int argc, char **argv, struct replay *replay)
{
	static const struct option names[] = {
		{ "read-only", no_argument, NULL, 'r' },
		{ "keep-space", no_argument, NULL, 'k' },
		{ "cache", required_argument, NULL, 'c' },
		{ "snapshot", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'r')
			replay->options.read_only = true;
		else if (option == 'k')
			replay->options.keep_space = true;
		else if (option == 'c')
			replay->options.cache_size = strtoul(optarg, NULL, 10);
		else if (option == 's')
			replay->options.snapshot = optarg;
		else
			_exit(2);
	}
	if (argc - optind != 1)
		fail(NULL, "expected one image");
	replay->path = argv[optind];
}

int main(int argc, char **argv)
{
	struct replay replay = { 0 };
	struct operation operation;

	parse_options(argc, argv, &replay);
	open_image(&replay);
	while (next_operation(&operation)) {
		if (strcmp(operation.name, "parallel") == 0)
			run_parallel(&replay, &operation);
		else
			run(&replay, &operation);
	}
	close_image(&replay);
	return 0;
}
