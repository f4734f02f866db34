/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One life of an image; see life.h. */
#include "life.h"

#include "align.h"
#include "cleanup.h"
#include "prng.h"
#include "schedule.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

/* What the gate hands out. */
struct files {
	struct memfile *files;
	struct recording *recording;
};

static int open_reference(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
			  char **ret_path, struct imgfmt_error *reterr)
{
	const struct files *files = userdata;
	unsigned int id = reference->kind == IMGFMT_DATA_FILE ? FILE_DATA : FILE_BACKING;

	if (!reference->name ||
	    strcmp(reference->name, id == FILE_DATA ? BUILD_DATA_NAME : BUILD_BACKING_NAME))
		return imgfmt_error_set(reterr, -ENOENT, "the name of file %u is damaged", id);
	*ret_path = strdup(reference->name);
	if (!*ret_path)
		return -ENOMEM;
	*ret_fd = recorder_open(&files->files[id], id, files->recording);
	return 0;
}

int life_open(struct memfile *files, const struct workload *workload, const char *snapshot,
	      bool read_only, struct recording *recording, struct imgfmt_image **ret,
	      struct imgfmt_error *reterr)
{
	struct files references = { files, recording };
	const struct imgfmt_gate gate = { open_reference, &references };
	const struct imgfmt_open_options options = {
		.format = "qcow2",
		.snapshot = snapshot,
		.read_only = read_only,
		.keep_space = workload->keep_space,
		.cache_size = workload->cache_size,
		.gate = &gate,
	};

	return imgfmt_open(recorder_open(&files[FILE_IMAGE], FILE_IMAGE, recording), &options, ret,
			   reterr);
}

int life_hash_snapshots(struct memfile *files, const struct workload *workload, uint64_t *ret,
			struct imgfmt_error *reterr)
{
	uint64_t hash = 0;

	for (unsigned int i = 0; i < workload->build.snapshots; i++) {
		const char id[] = { (char)('1' + i), '\0' };
		uint8_t sector[SECTOR];
		struct imgfmt_image *image;
		int r;

		r = life_open(files, workload, id, true, NULL, &image, reterr);
		if (r < 0)
			return r;
		for (uint64_t at = 0; at < imgfmt_size(image) && r == 0; at += SECTOR) {
			r = imgfmt_read(image, sector, sizeof(sector), at);
			hash = prng_mix(hash ^ model_hash(sector));
		}
		imgfmt_close(image);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "cannot read snapshot %s: %s", id,
						strerror(-r));
	}
	*ret = hash;
	return 0;
}

/* ---- the run ---- */

struct run {
	struct life *life;
	const struct workload *workload;
	struct memfile files[FILE_COUNT];
	struct imgfmt_image *image;
	uint8_t *content; /* of the disk, where there are no threads */
	uint64_t content_size;
};

static void fail(struct life *life, size_t number, const char *what, int r)
{
	if (life->error[0] == '\0')
		snprintf(life->error, sizeof(life->error), "request %zu: %s: %s", number, what,
			 strerror(-r));
}

/* A request that is under way. */
struct going {
	struct run *run;
	const struct request *request;
	unsigned int number; /* from 1 on */
	uint64_t start;
	uint64_t first_sector, end_sector;
};

static struct going begin(struct run *run, size_t number)
{
	const struct request *request = &run->workload->requests[number];

	return (struct going){
		.run = run,
		.request = request,
		.number = (unsigned int)number + 1,
		.start = recording_tick(&run->life->recording),
		.first_sector = request->guest_offset / SECTOR,
		.end_sector = align_up(request->guest_offset + request->length, SECTOR) / SECTOR,
	};
}

static void end_sectors(const struct going *going, uint64_t first, uint64_t end)
{
	struct life *life = going->run->life;
	uint64_t tick = recording_tick(&life->recording);

	for (uint64_t sector = first; sector < end; sector++)
		model_end_sector(&life->model, (size_t)sector, going->number, tick);
}

/* Change the content, and tell the model. @bytes: NULL for zeroes. */
static void begin_content(const struct going *going, const uint8_t *bytes)
{
	struct run *run = going->run;
	const struct request *request = going->request;
	uint8_t *place = run->content + request->guest_offset;

	if (bytes)
		memcpy(place, bytes, (size_t)request->length);
	else
		memset(place, 0, (size_t)request->length);
	for (uint64_t sector = going->first_sector; sector < going->end_sector; sector++) {
		uint64_t offset = sector * SECTOR;
		const struct change change = {
			.request = going->number,
			.start = going->start,
			.bytes = run->content + offset,
			.partial = request->guest_offset > offset ||
				   request->guest_offset + request->length < offset + SECTOR,
		};

		model_begin_sector(&run->life->model, (size_t)sector, &change);
	}
}

static int do_write(const struct going *going)
{
	const struct request *request = going->request;
	uint64_t length = align_up(request->length, SECTOR);
	_cleanup_free_ uint8_t *bytes = must_calloc(1, (size_t)length);
	int r;

	build_fill(bytes, length, request->stamp);
	begin_content(going, bytes);
	r = imgfmt_write(going->run->image, bytes, (size_t)request->length, request->guest_offset);
	end_sectors(going, going->first_sector, going->end_sector);
	return r;
}

static int do_zero(const struct going *going)
{
	const struct request *request = going->request;
	int r;

	begin_content(going, NULL);
	r = imgfmt_zero(going->run->image, request->guest_offset, request->length,
			request->kind == REQUEST_ZERO ? IMGFMT_ZERO_KEEP : IMGFMT_ZERO_DISCARD);
	end_sectors(going, going->first_sector, going->end_sector);
	return r;
}

static int do_read(const struct going *going)
{
	struct run *run = going->run;
	uint64_t count = (going->end_sector - going->first_sector) * SECTOR;
	_cleanup_free_ uint8_t *bytes = must_calloc(1, (size_t)count);
	struct moment moment = { .known = going->start };
	int r;

	r = imgfmt_read(run->image, bytes, (size_t)count, going->first_sector * SECTOR);
	if (r < 0)
		return r;
	moment.now = recording_tick(&run->life->recording);
	if (model_compare(&run->life->model, moment, bytes, (size_t)going->first_sector, count) !=
	    count / SECTOR)
		return -EILSEQ;
	return 0;
}

static int do_barrier(const struct going *going, enum barrier_kind kind)
{
	struct run *run = going->run;
	int r = kind == BARRIER_FLUSH ? imgfmt_flush(run->image) : imgfmt_writeback(run->image);

	if (r == 0)
		model_add_barrier(&run->life->model, kind, going->start,
				  recording_tick(&run->life->recording));
	return r;
}

static uint64_t backing_hash(const struct run *run, uint64_t sector)
{
	uint8_t bytes[SECTOR];

	memfile_read(&run->files[FILE_BACKING], bytes, sizeof(bytes), sector * SECTOR);
	return model_hash(bytes);
}

/* What is cut off reads as anything that it could be without its own data until it is gone. */
static void begin_truncate(const struct going *going, uint64_t size)
{
	struct run *run = going->run;
	uint64_t first = min_u64(size, run->content_size) / SECTOR;
	uint64_t end = max_u64(size, run->content_size) / SECTOR;
	bool shrink = size < run->content_size;

	for (uint64_t sector = first; sector < end; sector++) {
		const struct change change = {
			.request = going->number,
			.start = going->start,
			.other = shrink ? backing_hash(run, sector) : 0,
		};

		model_begin_sector(&run->life->model, (size_t)sector, &change);
	}
	model_begin_size(&run->life->model, going->number, going->start, size);
}

static int do_truncate(const struct going *going)
{
	struct run *run = going->run;
	uint64_t size = going->request->length;
	uint64_t first = min_u64(size, run->content_size) / SECTOR;
	uint64_t end = max_u64(size, run->content_size) / SECTOR;
	uint8_t *content = must_calloc(1, (size_t)size);
	uint64_t final_tick;
	int r;

	begin_truncate(going, size);
	memcpy(content, run->content, (size_t)min_u64(size, run->content_size));
	free(run->content);
	run->content = content;
	run->content_size = size;
	r = imgfmt_truncate(run->image, size);
	end_sectors(going, first, end);
	model_end_size(&run->life->model, going->number, recording_tick(&run->life->recording));
	if (r < 0 || first == end)
		return r;
	/* It ends with a flush: the new size is durable. */
	final_tick = recording_tick(&run->life->recording);
	model_add_barrier(&run->life->model, BARRIER_FLUSH, final_tick,
			  recording_tick(&run->life->recording));
	return 0;
}

/* Can the request be made, when others may have been left out? */
static bool is_possible(const struct run *run, const struct request *request)
{
	return request->kind == REQUEST_TRUNCATE ||
	       request->guest_offset + request->length <= run->content_size;
}

static int do_request(struct run *run, size_t number)
{
	const struct going going = begin(run, number);

	switch (going.request->kind) {
	case REQUEST_WRITE:
		return do_write(&going);
	case REQUEST_ZERO:
	case REQUEST_DISCARD:
		return do_zero(&going);
	case REQUEST_READ:
		return do_read(&going);
	case REQUEST_FLUSH:
		return do_barrier(&going, BARRIER_FLUSH);
	case REQUEST_WRITEBACK:
		return do_barrier(&going, BARRIER_WRITEBACK);
	case REQUEST_TRUNCATE:
		return do_truncate(&going);
	case REQUEST_KIND_COUNT:
		break;
	}
	return -EINVAL;
}

static void do_requests(void *userdata, unsigned int thread)
{
	struct run *run = userdata;
	const struct workload *workload = run->workload;

	for (size_t i = 0; i < workload->request_count; i++) {
		const struct request *request = &workload->requests[i];
		int r;

		if (request->thread != thread || request->skip || !is_possible(run, request))
			continue;
		r = do_request(run, i);
		if (r < 0)
			fail(run->life, i, r == -EILSEQ ? "read what nobody wrote" : "failed", r);
	}
}

static int start(struct run *run, struct imgfmt_error *reterr)
{
	struct life *life = run->life;
	int r;

	r = life_hash_snapshots(life->initial, run->workload, &life->snapshot_hash, reterr);
	if (r < 0)
		return r;
	r = life_open(run->files, run->workload, NULL, false, &life->recording, &run->image,
		      reterr);
	if (r < 0)
		return r;
	run->content_size = imgfmt_size(run->image);
	run->content = must_calloc(1, (size_t)run->content_size);
	r = imgfmt_read(run->image, run->content, (size_t)run->content_size, 0);
	if (r < 0) {
		imgfmt_close(run->image);
		return imgfmt_error_set(reterr, r, "cannot read the disk: %s", strerror(-r));
	}
	model_init(&life->model, run->content, run->content_size);
	life->has_model = true;
	return 0;
}

static void close_image(struct run *run)
{
	struct life *life = run->life;
	uint64_t start = recording_tick(&life->recording);
	int r = imgfmt_close(run->image);

	if (r < 0)
		fail(life, run->workload->request_count, "closing failed", r);
	else
		model_add_barrier(&life->model, BARRIER_FLUSH, start,
				  recording_tick(&life->recording));
}

void life_run(struct life *life, const struct workload *workload, const struct memfile *initial,
	      uint64_t seed)
{
	struct run run = { .life = life, .workload = workload };
	struct prng prng = prng_fork(seed, 2);
	struct imgfmt_error error = { "" };

	*life = (struct life){
		.recording = { .ticks = 2,
			       .garbage = workload->garbage,
			       .prng = prng_fork(seed, 3) },
	};
	memfiles_copy(life->initial, initial);
	memfiles_copy(run.files, initial);
	if (start(&run, &error) < 0) {
		snprintf(life->error, sizeof(life->error), "cannot open: %.200s", error.text);
	} else {
		if (workload->threads > 1)
			schedule_run(workload->threads, do_requests, &run, workload->percent,
				     &prng);
		else
			do_requests(&run, 0);
		close_image(&run);
	}
	memfiles_copy(life->final, run.files);
	memfiles_finish(run.files);
	free(run.content);
}

void life_finish(struct life *life)
{
	memfiles_finish(life->initial);
	memfiles_finish(life->final);
	recording_finish(&life->recording);
	if (life->has_model)
		model_finish(&life->model);
	*life = (struct life){ 0 };
}

void life_print(const struct life *life)
{
	static const char *const names[] = { "write", "discard", "resize", "sync" };

	for (size_t i = 0; i < life->recording.count; i++) {
		const struct record *record = &life->recording.records[i];

		printf("  record %zu, tick %" PRIu64 ": %s file %u", i, record->tick,
		       names[record->kind], record->file);
		if (record->kind == RECORD_SYNC)
			printf(" (records before %zu)", record->covered);
		else
			printf(" 0x%" PRIx64 " +0x%" PRIx64 "%s, size 0x%" PRIx64, record->offset,
			       record->length, record->bytes ? "" : " zeroes", record->size);
		printf("\n");
	}
}
