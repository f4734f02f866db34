/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One workload on a host that fails; see run.h. */
#include "run.h"

#include "check.h"
#include "imgfmt.h"
#include "view.h"

#include "align.h"
#include "cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
	const struct subject *subject;
	const struct plan *plan;
	struct host host;
	struct imgfmt_image *image;
	struct view now;             /* what reads may see */
	struct view disk;            /* what the files may have if nothing more gets there */
	bool watching;               /* what reads see is known */
	bool written;                /* data, by a request that was answered with success */
	unsigned int requests_since; /* the fault began */
	struct result *result;
};

static void wrong(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void wrong(struct run *run, const char *format, ...)
{
	va_list arguments;

	if (run->result->error[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(run->result->error, sizeof(run->result->error), format, arguments);
	va_end(arguments);
}

/* ---- opening ---- */

static int open_reference(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
			  char **ret_path, struct imgfmt_error *reterr)
{
	unsigned int file = reference->kind == IMGFMT_DATA_FILE ? FILE_DATA : FILE_BACKING;
	int fd = host_open(userdata, file, reference->writable);

	if (fd < 0)
		return imgfmt_error_set(reterr, fd, "%s: %s", reference->name, strerror(-fd));
	*ret_fd = fd;
	*ret_path = strdup(reference->name);
	return *ret_path ? 0 : -ENOMEM;
}

static int open_image(struct run *run, const char *snapshot, bool read_only,
		      struct imgfmt_error *reterr)
{
	const struct workload *workload = &run->subject->workload;
	const struct imgfmt_gate gate = { open_reference, &run->host };
	const struct imgfmt_open_options options = {
		.format = run->subject->raw ? "raw" : "qcow2",
		.snapshot = snapshot,
		.read_only = read_only,
		.keep_space = workload->keep_space,
		.cache_size = workload->cache_size,
		.gate = &gate,
	};

	return imgfmt_open(host_open(&run->host, FILE_IMAGE, !read_only), &options, &run->image,
			   reterr);
}

/*
 * Read a whole disk, or a snapshot of it, while nothing fails. Returns NULL if it cannot be read.
 */
static uint8_t *read_disk(struct run *run, const char *snapshot, uint64_t *ret_size)
{
	struct imgfmt_error error = { "" };
	uint8_t *content = NULL;
	uint64_t size;
	int r;

	r = open_image(run, snapshot, true, &error);
	if (r < 0) {
		wrong(run, "cannot be opened: %.300s", error.text);
		return NULL;
	}
	size = imgfmt_size(run->image);
	content = must_calloc(1, (size_t)align_up(size, SECTOR) + 1);
	r = imgfmt_read(run->image, content, (size_t)size, 0);
	imgfmt_close(run->image);
	run->image = NULL;
	if (r < 0) {
		wrong(run, "cannot be read: %s", strerror(-r));
		free(content);
		return NULL;
	}
	*ret_size = size;
	return content;
}

/* ---- what an answer means ---- */

/* The answer to a request in which so many calls were hit. */
static void judge_answer(struct run *run, size_t number, int r, uint64_t hits)
{
	const struct fault *fault = run->plan->fault;

	if (r == 0 || (run->host.sync_failed && !run->watching))
		return;
	if (!fault || run->host.hits == 0)
		wrong(run, "request %zu fails without a fault: %s", number, strerror(-r));
	else if (fault->harmless)
		wrong(run, "request %zu fails: %s", number, strerror(-r));
	else if (r != -fault->error)
		wrong(run, "request %zu fails, but says: %s", number, strerror(-r));
	else if (hits == 0 && !run->host.sync_failed)
		wrong(run, "request %zu fails though the fault is gone: %s", number, strerror(-r));
}

/* A range was changed to @bytes (NULL: zeroes), or the try has failed. */
static void note_change(struct run *run, const struct request *request, const uint8_t *bytes, int r)
{
	if (r == 0) {
		view_set(&run->now, request->guest_offset, request->length, bytes);
	} else {
		view_allow(&run->now, request->guest_offset, request->length, bytes);
		view_allow(&run->disk, request->guest_offset, request->length, bytes);
	}
	view_allow_from(&run->disk, &run->now, request->guest_offset, request->length);
}

/* ---- requests ---- */

static int do_write(struct run *run, const struct request *request)
{
	_cleanup_free_ uint8_t *bytes =
		must_calloc(1, (size_t)align_up(request->length, SECTOR) + 1);
	int r;

	build_fill(bytes, align_up(request->length, SECTOR), request->stamp);
	r = imgfmt_write(run->image, bytes, (size_t)request->length, request->guest_offset);
	note_change(run, request, bytes, r);
	run->written = run->written || (r == 0 && request->length > 0);
	return r;
}

static int do_zero(struct run *run, const struct request *request)
{
	int r = imgfmt_zero(run->image, request->guest_offset, request->length,
			    request->kind == REQUEST_ZERO ? IMGFMT_ZERO_KEEP : IMGFMT_ZERO_DISCARD);

	note_change(run, request, NULL, r);
	return r;
}

static int do_read(struct run *run, const struct request *request, size_t number)
{
	_cleanup_free_ uint8_t *bytes = must_calloc(1, (size_t)request->length + 1);
	uint64_t right;
	int r;

	r = imgfmt_read(run->image, bytes, (size_t)request->length, request->guest_offset);
	if (r < 0 || !run->watching)
		return r;
	right = view_compare(&run->now, request->guest_offset, request->length, bytes);
	if (right < request->length)
		wrong(run, "request %zu reads what was not written at 0x%" PRIx64, number,
		      request->guest_offset + right);
	return r;
}

static int do_flush(struct run *run, const struct request *request, size_t number)
{
	bool flush = request->kind == REQUEST_FLUSH;
	bool failed = run->host.sync_failed;
	int r = flush ? imgfmt_flush(run->image) : imgfmt_writeback(run->image);

	if (r == 0 && flush && failed)
		wrong(run, "request %zu: a flush succeeds after a failed sync", number);
	if (r == 0 && flush)
		view_copy(&run->disk, &run->now);
	/* What a writeback has done may get lost with a sync that fails. */
	else if (r == 0 && (!run->plan->fault || run->plan->fault->effect != EFFECT_LOSS))
		view_copy_content(&run->disk, &run->now);
	return r;
}

/* What lies between the sizes is gone, or about to be, and may show what lies below. */
static void note_failed_truncate(struct run *run, uint64_t old_size, uint64_t size)
{
	const struct memfile *backing = &run->subject->files[FILE_BACKING];
	uint64_t first = align_down(min_u64(size, old_size), SECTOR);
	uint64_t length = align_up(max_u64(size, old_size), SECTOR) - first;
	uint8_t *below = must_calloc(1, (size_t)length + 1);

	if (size < old_size) {
		memfile_read(backing, below, length, first);
		view_allow(&run->now, first, length, NULL);
		view_allow(&run->now, first, length, below);
		view_allow_from(&run->disk, &run->now, first, length);
	}
	free(below);
	view_set_size(&run->now, imgfmt_size(run->image));
	view_allow_size(&run->disk, size);
	view_allow_size(&run->disk, old_size);
}

static int do_truncate(struct run *run, const struct request *request, size_t number)
{
	uint64_t old_size = imgfmt_size(run->image);
	uint64_t size = request->length;
	int r = imgfmt_truncate(run->image, size);

	if (imgfmt_size(run->image) != size && (r == 0 || imgfmt_size(run->image) != old_size))
		wrong(run, "request %zu: the size is 0x%" PRIx64, number, imgfmt_size(run->image));
	if (r < 0) {
		note_failed_truncate(run, old_size, size);
		return r;
	}
	if (size < run->subject->max_size)
		view_set(&run->now, size, run->now.max_size - size, NULL);
	view_set_size(&run->now, size);
	if (size != old_size)
		view_copy(&run->disk, &run->now);
	return r;
}

static int do_request(struct run *run, const struct request *request, size_t number)
{
	switch (request->kind) {
	case REQUEST_WRITE:
		return do_write(run, request);
	case REQUEST_ZERO:
	case REQUEST_DISCARD:
		return do_zero(run, request);
	case REQUEST_READ:
		return do_read(run, request, number);
	case REQUEST_FLUSH:
	case REQUEST_WRITEBACK:
		return do_flush(run, request, number);
	case REQUEST_TRUNCATE:
		return do_truncate(run, request, number);
	case REQUEST_KIND_COUNT:
		break;
	}
	return -EINVAL;
}

/* The fault goes away, if it is time. */
static void pass_time(struct run *run)
{
	if (run->host.hits > 0 && run->requests_since++ >= run->plan->lasts)
		run->host.for_good = false;
	if (run->host.sync_failed && run->plan->fault->effect == EFFECT_LOSS)
		run->watching = false;
}

static void do_requests(struct run *run)
{
	const struct workload *workload = &run->subject->workload;

	for (size_t i = 0; i < workload->request_count; i++) {
		const struct request *request = &workload->requests[i];
		uint64_t hits = run->host.hits;
		int r;

		if (request->kind != REQUEST_TRUNCATE &&
		    request->guest_offset + request->length > imgfmt_size(run->image))
			continue;
		r = do_request(run, request, i);
		pass_time(run);
		judge_answer(run, i, r, run->host.hits - hits);
	}
}

/* ---- afterwards ---- */

static void check_tables(struct run *run, bool closed)
{
	struct memfile file = { 0 };
	struct check_result result;

	if (run->subject->raw)
		return;
	host_load(&run->host, FILE_IMAGE, &file);
	check_image(&file, &result);
	if (run->written && check_autoclear(&file) & ~AUTOCLEAR_DATA_RAW)
		wrong(run, "written, but autoclear features 0x%" PRIx64 " are still there",
		      check_autoclear(&file));
	memfile_finish(&file);
	if (result.errors > 0)
		wrong(run, "%" PRIu64 " error(s): %s", result.errors, result.text);
	else if (closed && result.leaks > run->subject->leaks)
		run->result->leaks = result.leaks - run->subject->leaks;
}

static void check_content(struct run *run, const struct view *view)
{
	uint64_t size, right;
	_cleanup_free_ uint8_t *content = read_disk(run, NULL, &size);

	if (!content)
		return;
	if (!view_allows_size(view, size)) {
		wrong(run, "the size is 0x%" PRIx64 " afterwards", size);
		return;
	}
	right = view_compare(view, 0, size, content);
	if (right < size)
		wrong(run, "0x%" PRIx64 " is not what was acknowledged", right);
}

/* The first snapshot, or NULL where there is none. */
static uint8_t *read_snapshot(struct run *run, uint64_t *ret_size)
{
	return run->subject->workload.build.snapshots > 0 ? read_disk(run, "1", ret_size) : NULL;
}

static void close_image(struct run *run)
{
	bool closed = imgfmt_close(run->image) == 0;

	run->image = NULL;
	run->host.armed = false;
	if (closed && run->host.sync_failed)
		wrong(run, "closing succeeds after a failed sync");
	if (!closed && (!run->plan->fault || run->plan->fault->harmless))
		wrong(run, "closing fails");
	check_tables(run, closed);
	check_content(run, closed ? &run->now : &run->disk);
}

static void live(struct run *run)
{
	struct imgfmt_error error = { "" };
	uint64_t size = 0, snapshot_size = 0, later_size = 0;
	_cleanup_free_ uint8_t *content = read_disk(run, NULL, &size);
	_cleanup_free_ uint8_t *snapshot = read_snapshot(run, &snapshot_size);
	_cleanup_free_ uint8_t *later = NULL;
	int r;

	if (!content)
		return;
	view_init(&run->now, content, size, run->subject->max_size);
	view_init(&run->disk, content, size, run->subject->max_size);
	run->host.armed = true;
	r = open_image(run, NULL, false, &error);
	if (r == 0 && run->host.lock_failed)
		wrong(run, "is opened without a lock");
	pass_time(run);
	if (r == 0) {
		do_requests(run);
		close_image(run);
	} else {
		run->host.armed = false;
		if (run->host.hits == 0 || run->plan->fault->harmless)
			wrong(run, "cannot be opened: %.300s", error.text);
		check_tables(run, true);
		check_content(run, &run->now);
	}
	later = read_snapshot(run, &later_size);
	if (snapshot && later &&
	    (later_size != snapshot_size || memcmp(snapshot, later, snapshot_size) != 0))
		wrong(run, "the snapshot has changed");
	view_finish(&run->now);
	view_finish(&run->disk);
}

void run_plan(const struct subject *subject, const struct plan *plan, bool want_log,
	      struct result *ret)
{
	struct run run = { .subject = subject, .plan = plan, .watching = true, .result = ret };

	*ret = (struct result){ 0 };
	host_init(&run.host, subject->files);
	run.host.fault = plan->fault;
	run.host.nth = plan->nth;
	run.host.for_good = plan->lasts > 0;
	run.host.prng = prng_fork(plan->seed, 9);
	if (want_log)
		run.host.log = must_calloc(run.host.log_capacity = 1024, sizeof(*run.host.log));
	live(&run);
	ret->hits = run.host.hits;
	ret->calls = run.host.count;
	ret->log = steal_ptr(run.host.log);
	host_finish(&run.host);
}
