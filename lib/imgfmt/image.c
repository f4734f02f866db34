/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening an image and what it is backed by, and closing it again. Owns struct imgfmt_image.
 *
 * Every file of the chain is locked before anything of it is read.
 */
#include "image.h"

#include "cleanup.h"
#include "guard.h"
#include "io.h"
#include "lock.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The images above the one being opened: to find loops, and to count. */
struct ancestor {
	const struct ancestor *above;
	struct hostfile *file;
};

static int open_image(int fd, const struct imgfmt_open_options *options,
		      const struct ancestor *above, struct imgfmt_image **ret,
		      struct imgfmt_error *reterr);

void imgfmt_warn(struct imgfmt_image *image, const char *format, ...)
{
	char message[512];
	va_list arguments;

	if (!image->warn)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	image->warn(image->userdata, message);
}

/* ---- life of the struct ---- */

static struct imgfmt_image *image_create(const struct imgfmt_open_options *options)
{
	struct imgfmt_image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->path = strdup(options->path ? options->path : "image");
	if (!image->path) {
		free(image);
		return NULL;
	}
	image->read_only = options->read_only;
	image->describe_only = options->describe_only;
	image->keep_space = options->keep_space;
	image->warn = options->warn;
	image->userdata = options->userdata;
	rwlock_init(&image->use);
	pthread_mutex_init(&image->head, NULL);
	grace_init(&image->grace);
	return image;
}

/* Free everything but what the driver's close does. */
static void image_destroy(struct imgfmt_image *image)
{
	hostfile_destroy(image->data_file);
	hostfile_destroy(image->file);
	free(image->state);
	free(image->path);
	free(image->data_file_name);
	free(image->backing_name);
	free(image->backing_format);
	pthread_rwlock_destroy(&image->use);
	pthread_mutex_destroy(&image->head);
	free(image);
}

DEFINE_CLEANUP(struct imgfmt_image, image_destroy_pointee, image_destroy);

int imgfmt_close(struct imgfmt_image *image)
{
	int r;

	if (!image)
		return 0;
	r = image->read_only ? 0 : driver_flush(image);
	driver_close(image);
	imgfmt_close(image->backing);
	image_destroy(image);
	return r;
}

/* ---- opening ---- */

static int check_ancestors(struct hostfile *file, const struct ancestor *above, const char *path,
			   struct imgfmt_error *reterr)
{
	uint64_t device, inode;
	unsigned int depth = 0;
	int r;

	r = hostfile_identity(file, &device, &inode);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s: %s", path, strerror(-r));
	for (; above; above = above->above) {
		uint64_t above_device, above_inode;

		r = hostfile_identity(above->file, &above_device, &above_inode);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "%s: %s", path, strerror(-r));
		if (above_device == device && above_inode == inode)
			return imgfmt_error_set(
				reterr, -EINVAL,
				"%s: refers to itself through the files it is based on", path);
		if (++depth > IMGFMT_MAX_DEPTH)
			return imgfmt_error_set(reterr, -EINVAL,
						"%s: more than %d backing files below one another",
						path, IMGFMT_MAX_DEPTH);
	}
	return 0;
}

static int choose_driver(struct imgfmt_image *image, const char *format,
			 struct imgfmt_error *reterr)
{
	struct imgfmt_sample sample;
	int r;

	if (format) {
		image->driver = imgfmt_find_driver(format);
		if (!image->driver)
			return imgfmt_error_set(reterr, -ENOTSUP, "%s: unknown format '%s'",
						image->path, format);
	} else {
		r = imgfmt_take_sample(image->file, &sample);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "%s: cannot read: %s", image->path,
						strerror(-r));
		image->driver = imgfmt_probe(&sample);
		image->detected = true;
	}
	if (!image->driver->open)
		return imgfmt_error_set(reterr, -ENOTSUP,
					"%s: this is a %s image, a format that is not supported",
					image->path, image->driver->description);
	return 0;
}

/*
 * Wrap and lock a file of @image, called @path; the descriptor is consumed. Sets *ret also where it
 * fails later on, so that the caller frees it.
 */
static int open_file(struct imgfmt_image *image, int fd, const char *path,
		     const struct ancestor *above, struct hostfile **ret,
		     struct imgfmt_error *reterr)
{
	struct imgfmt_error error;
	int r;

	r = hostfile_create(fd, !image->read_only, ret);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s: %s", path,
					r == -EINVAL ? "not a regular file or a block device" :
						       strerror(-r));
	r = check_ancestors(*ret, above, path, reterr);
	if (r < 0)
		return r;
	r = hostfile_lock(*ret, image->read_only ? HOSTFILE_READER : HOSTFILE_WRITER, &error);
	if (r == -ENOLCK) {
		imgfmt_warn(image, "%s: %s; make sure that nobody else uses it", path, error.text);
		return 0;
	}
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s: %.400s", path, error.text);
	return 0;
}

static int open_driver(struct imgfmt_image *image, const struct imgfmt_open_options *options,
		       struct imgfmt_error *reterr)
{
	struct imgfmt_error error = { "" };
	int r;

	if (image->driver->state_size > 0) {
		image->state = calloc(1, image->driver->state_size);
		if (!image->state)
			return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	}
	r = driver_open(image, options, &error);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s: %.400s", image->path, error.text);
	return 0;
}

/* Ask the gate for a file that the image refers to. */
static int pass_gate(const struct imgfmt_image *image, const struct imgfmt_open_options *options,
		     const struct imgfmt_reference *reference, int *ret_fd, char **ret_path,
		     struct imgfmt_error *reterr)
{
	struct imgfmt_error error = { "" };
	int r;

	if (!options->gate)
		return imgfmt_error_set(reterr, -EACCES,
					"%s: refers to '%s', which must not be opened", image->path,
					reference->name ? reference->name : "a file");
	r = options->gate->open(options->gate->userdata, reference, ret_fd, ret_path, &error);
	return r < 0 ? imgfmt_error_set(reterr, r, "%s: %.400s", image->path, error.text) : 0;
}

/* Open the file that holds the guest's data, where that is not the image file. */
static int open_data_file(struct imgfmt_image *image, const struct imgfmt_open_options *options,
			  const struct ancestor *above, struct imgfmt_error *reterr)
{
	const struct ancestor self = { .above = above, .file = image->file };
	const struct imgfmt_reference reference = {
		.kind = IMGFMT_DATA_FILE,
		.name = image->data_file_name,
		.format = "raw",
		.referrer = image->path,
		.writable = !image->read_only,
	};
	_cleanup_free_ char *path = NULL;
	int fd, r;

	if (!image->has_data_file)
		return 0;
	r = pass_gate(image, options, &reference, &fd, &path, reterr);
	return r < 0 ? r : open_file(image, fd, path, &self, &image->data_file, reterr);
}

/*
 * The user knows the image on top: say how one comes from there to what is wrong. Where that is too
 * long its middle is left out, never what is wrong.
 */
static int add_to_way(const struct imgfmt_image *image, int r, const struct imgfmt_error *why,
		      struct imgfmt_error *reterr)
{
	static const char arrow[] = " -> ", gap[] = "... -> ";
	const char *rest = why->text, *left_out = "";

	while (strlen(image->path) + strlen(arrow) + strlen(left_out) + strlen(rest) >=
	       sizeof(reterr->text)) {
		const char *next = strstr(rest, arrow);

		if (!next)
			break;
		left_out = gap;
		rest = next + strlen(arrow);
		if (strncmp(rest, gap, strlen(gap)) == 0)
			rest += strlen(gap);
	}
	return imgfmt_error_set(reterr, r, "%s%s%s%s", image->path, arrow, left_out, rest);
}

/* Open what backing_name names. */
static int open_backing(struct imgfmt_image *image, const struct imgfmt_open_options *options,
			const struct ancestor *above, struct imgfmt_error *reterr)
{
	const struct ancestor self = { .above = above, .file = image->file };
	const struct imgfmt_reference reference = {
		.kind = IMGFMT_BACKING_FILE,
		.name = image->backing_name,
		.format = image->backing_format,
		.referrer = image->path,
	};
	struct imgfmt_open_options below = *options;
	struct imgfmt_error error = { "" };
	_cleanup_free_ char *path = NULL;
	int fd, r;

	if (!image->backing_name)
		return 0;
	if (!image->backing_format && !options->replace_backing)
		imgfmt_warn(image,
			    "%s: does not say what format its backing file has; detecting it",
			    image->path);
	r = pass_gate(image, options, &reference, &fd, &path, reterr);
	if (r < 0)
		return r;
	below.path = path;
	below.format = options->replace_backing ? options->backing_format : image->backing_format;
	below.replace_backing = false;
	below.snapshot = NULL;
	below.read_only = true;
	r = open_image(fd, &below, &self, &image->backing, &error);
	return r < 0 ? add_to_way(image, r, &error, reterr) : 0;
}

static int open_image(int fd, const struct imgfmt_open_options *options,
		      const struct ancestor *above, struct imgfmt_image **ret,
		      struct imgfmt_error *reterr)
{
	CLEANUP(image_destroy_pointee) struct imgfmt_image *image = NULL;
	_cleanup_close_ int owned = fd;
	int r;

	image = image_create(options);
	if (!image)
		return imgfmt_error_set(reterr, -ENOMEM, "out of memory");
	r = open_file(image, steal_fd(&owned), image->path, above, &image->file, reterr);
	if (r < 0)
		return r;
	r = choose_driver(image, options->format, reterr);
	if (r < 0)
		return r;
	if (options->snapshot && !image->driver->has_snapshots)
		return imgfmt_error_set(reterr, -ENOTSUP,
					"%s: images of the format %s have no internal snapshots",
					image->path, image->driver->name);
	if (options->snapshot && !image->read_only)
		return imgfmt_error_set(reterr, -EROFS, "%s: internal snapshots can only be read",
					image->path);
	if (!image->driver->write_begin && !image->read_only)
		return imgfmt_error_set(reterr, -EROFS,
					"%s: images of the format %s can only be read", image->path,
					image->driver->name);
	r = open_driver(image, options, reterr);
	if (r < 0)
		return r;
	r = open_data_file(image, options, above, reterr);
	if (r == 0)
		r = open_backing(image, options, above, reterr);
	if (r < 0) {
		driver_close(image);
		return r;
	}
	*ret = steal_ptr(image);
	return 0;
}

int imgfmt_open(int fd, const struct imgfmt_open_options *options, struct imgfmt_image **ret,
		struct imgfmt_error *reterr)
{
	return open_image(fd, options, NULL, ret, reterr);
}

/* ---- the open image ---- */

uint64_t imgfmt_size(const struct imgfmt_image *image)
{
	return image->size;
}

bool imgfmt_is_read_only(const struct imgfmt_image *image)
{
	return image->read_only;
}

struct imgfmt_image *imgfmt_backing(struct imgfmt_image *image)
{
	return image->backing;
}

int imgfmt_writeback(struct imgfmt_image *image)
{
	SHARED(&image->use);

	return image->read_only ? 0 : driver_writeback(image);
}

int imgfmt_flush(struct imgfmt_image *image)
{
	SHARED(&image->use);

	return image->read_only ? 0 : driver_flush(image);
}

/*
 * New space reads as zeroes: the rest of the unit that the old end lay in may hold anything, and
 * a backing image may be longer than the image was. The rest of new space the driver leaves
 * unallocated.
 */
static int zero_growth(struct imgfmt_image *image, uint64_t old_size)
{
	uint64_t end = old_size + (image->unit - old_size % image->unit) % image->unit;

	if (image->backing && image->backing->size > end)
		end = image->backing->size;
	if (end > image->size)
		end = image->size;
	if (end <= old_size)
		return 0;
	return zero_range(image, old_size, end - old_size, IMGFMT_ZERO_DISCARD);
}

int imgfmt_truncate(struct imgfmt_image *image, uint64_t size)
{
	EXCLUSIVE(&image->use);
	CLEANUP(mutex_unlock_pointee) pthread_mutex_t *guard = NULL;
	uint64_t old_size = image->size;
	int r;

	if (image->read_only || image->damaged)
		return -EROFS;
	if (size > INT64_MAX)
		return -EFBIG;
	if (size == old_size)
		return 0;
	/* What is cut off reads as zeroes for who looks for a format. */
	guard = guard_lock(image, size);
	r = guard ? guard_check(image, NULL, IMGFMT_SAMPLE_SIZE, size) : 0;
	if (r == 0)
		r = driver_truncate(image, size);
	if (r < 0)
		return r;
	r = zero_growth(image, old_size);
	if (r < 0) {
		/*
		 * Not grown after all: nothing of the new size is on disk before the flush. What
		 * cannot be dropped again now lies beyond the end, where the next growth zeroes it.
		 */
		if (driver_truncate(image, old_size) < 0)
			image->size = old_size;
		return r;
	}
	return driver_flush(image);
}

static uint64_t allocated_by(struct hostfile *file)
{
	uint64_t allocated;

	return file && hostfile_allocated(file, &allocated) == 0 ? allocated : 0;
}

uint64_t imgfmt_allocated(struct imgfmt_image *image)
{
	return allocated_by(image->file) + allocated_by(image->data_file);
}

void imgfmt_get_info(struct imgfmt_image *image, struct imgfmt_info *ret)
{
	SHARED(&image->use);

	*ret = (struct imgfmt_info){
		.format = image->driver->name,
		.path = image->path,
		.detected = image->detected,
		.size = image->size,
		.backing_name = image->backing_name,
		.backing_format = image->backing_format,
		.has_data_file = image->has_data_file,
		.data_file_name = image->data_file_name,
	};
	ret->allocated = imgfmt_allocated(image);
	if (hostfile_size(image->file, &ret->host_size) < 0)
		ret->host_size = 0;
	driver_describe(image, ret);
}

int imgfmt_get_snapshot(struct imgfmt_image *image, unsigned int index, struct imgfmt_snapshot *ret)
{
	SHARED(&image->use);

	return driver_get_snapshot(image, index, ret);
}
