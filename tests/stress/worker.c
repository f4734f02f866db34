/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads on one image; see worker.h. */
#include "worker.h"

#include "align.h"
#include "array.h"
#include "cleanup.h"
#include "lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No request is longer. */
#define MAX_LENGTH (UINT64_C(128) << 10)

enum operation {
	OPERATION_READ,
	OPERATION_WRITE,
	OPERATION_ZERO,
	OPERATION_DISCARD,
	OPERATION_STATUS,
	OPERATION_FLUSH,
	OPERATION_WRITEBACK,
	OPERATION_TRUNCATE,
	OPERATION_COUNT,
};

static const struct {
	const char *name;
	unsigned int weight; /* of a thousand */
} operations[OPERATION_COUNT] = {
	{ "read", 300 },  { "write", 400 }, { "zero", 80 },      { "discard", 120 },
	{ "status", 50 }, { "flush", 25 },  { "writeback", 20 }, { "truncate", 5 },
};

struct worker {
	struct work *work;
	struct prng prng;
	struct tally tally;
	uint64_t *words;
	uint64_t *superseded; /* for each unit of a request */
};

static void fail(struct work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct work *work, const char *format, ...)
{
	LOCKED(&work->mutex);
	va_list arguments;

	if (!work->stop) {
		va_start(arguments, format);
		vsnprintf(work->error, sizeof(work->error), format, arguments);
		va_end(arguments);
	}
	work->stop = true;
}

/* ---- where ---- */

struct range {
	uint64_t guest_offset, length;
};

/* Whole units; often clusters, or around a place where others are busy too. */
static struct range choose_range(struct worker *worker)
{
	const struct work *work = worker->work;
	uint64_t cluster = kind_unit(work->kind);
	const uint64_t grains[] = { UNIT, SECTOR, SECTOR, 4096, cluster, cluster };
	uint64_t grain = grains[prng_below(&worker->prng, ARRAY_LENGTH(grains))];
	uint64_t most = min_u64(MAX_LENGTH, cluster * (prng_chance(&worker->prng, 20) ? 16 : 3));
	uint64_t size = imgfmt_size(work->image);
	struct range range;

	if (prng_chance(&worker->prng, 70))
		range.guest_offset = work->hot[prng_below(&worker->prng, ARRAY_LENGTH(work->hot))] +
				     prng_below(&worker->prng, 4 * cluster);
	else
		range.guest_offset = prng_below(&worker->prng, work->max_size);
	range.guest_offset = align_down(range.guest_offset, grain);
	range.length = (1 + prng_below(&worker->prng, max_u64(most / grain, 1))) * grain;
	range.length = min_u64(range.length, MAX_LENGTH);
	/* Now and then beyond the end of the disk, as far as the model goes. */
	if (!prng_chance(&worker->prng, 10) && size >= work->model->least_size)
		size = work->model->least_size;
	else
		size = work->max_size;
	range.guest_offset %= size;
	range.length = min_u64(range.length, size - range.guest_offset);
	return range;
}

/*
 * Was a request rightly carried out, or refused as it went beyond the end? Sets *ret_done to which
 * of the two.
 */
static bool check_result(struct worker *worker, enum operation operation, struct range range,
			 uint64_t start, int r, bool *ret_done)
{
	struct work *work = worker->work;
	uint64_t end = range.guest_offset + range.length;
	uint64_t least = work->model->least_size, most = work->max_size;

	*ret_done = r == 0;
	worker->tally.bytes += r == 0 ? range.length : 0;
	worker->tally.refused += r < 0;
	if (end > least)
		model_sizes_since(work->model, start, &least, &most);
	if (r == 0 ? end <= most : r == -EINVAL && end > least)
		return true;
	fail(work,
	     "%s 0x%" PRIx64 " +0x%" PRIx64 ": %s, while the disk had at least 0x%" PRIx64
	     " and at most 0x%" PRIx64 " bytes",
	     operations[operation].name, range.guest_offset, range.length,
	     r < 0 ? strerror(-r) : "done", least, most);
	return false;
}

/* ---- what ---- */

static void do_read(struct worker *worker)
{
	struct work *work = worker->work;
	struct range range = choose_range(worker);
	struct view view =
		model_look(work->model, range.guest_offset, range.length, worker->superseded);
	char text[400], later[400];
	bool done, again;
	int r;

	r = imgfmt_read(work->image, worker->words, range.length, range.guest_offset);
	if (!check_result(worker, OPERATION_READ, range, view.start, r, &done) || !done)
		return;
	if (model_allows(work->model, &view, range.guest_offset, range.length, worker->words, text,
			 sizeof(text)))
		return;
	/* was it on its way, or is that where it stays? */
	again = imgfmt_read(work->image, worker->words, range.length, range.guest_offset) == 0 &&
		!model_allows(work->model, &view, range.guest_offset, range.length, worker->words,
			      later, sizeof(later));
	fail(work, "read 0x%" PRIx64 " +0x%" PRIx64 ": %s; read again: %s", range.guest_offset,
	     range.length, text, again ? later : "right");
}

static void do_write(struct worker *worker)
{
	struct work *work = worker->work;
	struct range range = choose_range(worker);
	struct change change = model_begin_write(work->model, range.guest_offset, range.length);
	bool done;
	int r;

	model_fill(&change, worker->words);
	r = imgfmt_write(work->image, worker->words, range.length, range.guest_offset);
	(void)check_result(worker, OPERATION_WRITE, range, change.start, r, &done);
	model_end(work->model, &change, done);
}

static void do_zero(struct worker *worker, enum operation operation)
{
	struct work *work = worker->work;
	struct range range = choose_range(worker);
	struct change change = model_begin_zero(work->model, range.guest_offset, range.length);
	bool done;
	int r;

	r = imgfmt_zero(work->image, range.guest_offset, range.length,
			operation == OPERATION_ZERO ? IMGFMT_ZERO_KEEP : IMGFMT_ZERO_DISCARD);
	(void)check_result(worker, operation, range, change.start, r, &done);
	model_end(work->model, &change, done);
}

/* Where there is said to be no data, there must be zeroes. */
static void do_status(struct worker *worker)
{
	struct work *work = worker->work;
	struct range range = choose_range(worker);
	struct view view =
		model_look(work->model, range.guest_offset, range.length, worker->superseded);
	uint64_t length = 0;
	bool data = false, done;
	char text[400];
	int r;

	r = imgfmt_status(work->image, range.guest_offset, range.length, &data, &length);
	if (!check_result(worker, OPERATION_STATUS, range, view.start, r, &done) || !done)
		return;
	if (length == 0 || length > range.length)
		fail(work, "status 0x%" PRIx64 " +0x%" PRIx64 ": length 0x%" PRIx64,
		     range.guest_offset, range.length, length);
	else if (!data && !model_allows(work->model, &view, range.guest_offset,
					align_down(length, UNIT), NULL, text, sizeof(text)))
		fail(work, "status 0x%" PRIx64 " +0x%" PRIx64 ": no data for 0x%" PRIx64 ", but %s",
		     range.guest_offset, range.length, length, text);
}

static void do_flush(struct worker *worker, enum operation operation)
{
	struct work *work = worker->work;
	int r = operation == OPERATION_FLUSH ? imgfmt_flush(work->image) :
					       imgfmt_writeback(work->image);

	if (r < 0)
		fail(work, "%s: %s", operations[operation].name, strerror(-r));
}

static void do_truncate(struct worker *worker)
{
	struct work *work = worker->work;
	LOCKED(&work->resizing);
	uint64_t least = work->model->least_size;
	uint64_t size =
		least + prng_below(&worker->prng, (work->max_size - least) / SECTOR + 1) * SECTOR;
	struct change change = model_begin_resize(work->model, size);
	int r = imgfmt_truncate(work->image, size);

	model_end_resize(work->model, &change, imgfmt_size(work->image));
	if (r < 0 || imgfmt_size(work->image) != size)
		fail(work, "truncate to 0x%" PRIx64 ": %s, size 0x%" PRIx64, size, strerror(-r),
		     imgfmt_size(work->image));
}

static void do_operation(struct worker *worker, enum operation operation)
{
	switch (operation) {
	case OPERATION_READ:
		do_read(worker);
		break;
	case OPERATION_WRITE:
		do_write(worker);
		break;
	case OPERATION_ZERO:
	case OPERATION_DISCARD:
		do_zero(worker, operation);
		break;
	case OPERATION_STATUS:
		do_status(worker);
		break;
	case OPERATION_FLUSH:
	case OPERATION_WRITEBACK:
		do_flush(worker, operation);
		break;
	case OPERATION_TRUNCATE:
		if (kind_can_resize(worker->work->kind))
			do_truncate(worker);
		break;
	case OPERATION_COUNT:
		break;
	}
}

static enum operation choose_operation(struct prng *prng)
{
	uint64_t roll = prng_below(prng, 1000);
	unsigned int operation = 0;

	while (roll >= operations[operation].weight)
		roll -= operations[operation++].weight;
	return operation;
}

/* ---- the threads ---- */

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	struct work *work = worker->work;

	for (unsigned int i = 0; i < work->operations && !work->stop; i++) {
		do_operation(worker, choose_operation(&worker->prng));
		worker->tally.operations++;
	}
	return NULL;
}

static void add_tally(struct work *work, const struct tally *tally)
{
	LOCKED(&work->mutex);

	work->tally.operations += tally->operations;
	work->tally.refused += tally->refused;
	work->tally.bytes += tally->bytes;
}

void work_run(struct work *work)
{
	struct worker workers[WORK_MAX_THREADS];
	pthread_t threads[WORK_MAX_THREADS];

	for (unsigned int i = 0; i < work->threads; i++) {
		workers[i] = (struct worker){
			.work = work,
			.prng = prng_fork(work->seed, 100 + i),
			.words = must_calloc(1, MAX_LENGTH),
			.superseded = must_calloc(MAX_LENGTH / UNIT, sizeof(uint64_t)),
		};
		if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0) {
			fprintf(stderr, "cannot create a thread\n");
			exit(2);
		}
	}
	for (unsigned int i = 0; i < work->threads; i++) {
		pthread_join(threads[i], NULL);
		add_tally(work, &workers[i].tally);
		free(workers[i].words);
		free(workers[i].superseded);
	}
}

bool work_read_all(struct work *work, uint8_t *content)
{
	uint64_t size = imgfmt_size(work->image);
	uint64_t *superseded = must_calloc(size / UNIT, sizeof(*superseded));
	struct view view = model_look(work->model, 0, size, superseded);
	char text[400];
	int r;

	r = imgfmt_read(work->image, content, size, 0);
	if (r < 0)
		fail(work, "reading all of the disk: %s", strerror(-r));
	else if (!model_allows(work->model, &view, 0, size, (const uint64_t *)(void *)content, text,
			       sizeof(text)))
		fail(work, "reading all of the disk: %s", text);
	free(superseded);
	return work->error[0] == '\0';
}
