/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Host files in memory, as large and as full as a disk may be; see host.h. */
#include "host.h"

#include "fuzz.h"
#include "sparse.h"

#include "align.h"
#include "hostfile.h"
#include "overflow.h"

#include <errno.h>

/* No descriptor of this process is so large. */
#define FIRST_FD (1 << 20)

/* A file of ext4 can be so large. */
#define MAX_SIZE (UINT64_C(16) << 40)

/* Where the disk is full. */
#define MAX_PAGES 8192

struct hostfile {
	enum host_file file;
	bool writable;
	bool sync_failed;
};

static struct sparse contents[HOST_FILES];
static uint64_t sizes[HOST_FILES];
static uint64_t work;
static unsigned int fail_at;
static bool has_failed;

bool host_in_call, host_memory_refused;

/* ---- for the targets ---- */

void host_reset(void)
{
	for (unsigned int i = 0; i < HOST_FILES; i++) {
		sparse_finish(&contents[i]);
		sizes[i] = 0;
	}
	fail_at = 0;
	has_failed = false;
	work = 0;
}

void host_put(enum host_file file, const void *bytes, size_t count, uint64_t offset)
{
	/* What finds no room is not there: an image that was cut off. */
	if (offset <= MAX_SIZE && count <= MAX_SIZE - offset &&
	    sparse_put(&contents[file], bytes, count, offset, MAX_PAGES) == 0)
		sizes[file] = max_u64(sizes[file], offset + count);
}

void host_get(enum host_file file, void *bytes, size_t count, uint64_t offset)
{
	sparse_get(&contents[file], bytes, count, offset);
}

void host_resize(enum host_file file, uint64_t size)
{
	size = min_u64(size, MAX_SIZE);
	if (size < sizes[file])
		sparse_clear(&contents[file], size, sizes[file] - size);
	sizes[file] = size;
}

uint64_t host_size(enum host_file file)
{
	return sizes[file];
}

int host_open(enum host_file file)
{
	return FIRST_FD + (int)file;
}

void host_fail_at(unsigned int nth)
{
	fail_at = nth;
}

bool host_has_failed(void)
{
	return has_failed;
}

uint64_t host_work(void)
{
	uint64_t done = work;

	work = 0;
	return done;
}

void host_end_call(void)
{
	host_in_call = false;
	MUST(host_work() <= HOST_MAX_WORK);
}

/* ---- hostfile.h: life ---- */

int hostfile_create(int fd, bool writable, struct hostfile **ret)
{
	struct hostfile *file = malloc(sizeof(*file));

	if (!file)
		return -ENOMEM;
	MUST(fd >= FIRST_FD && fd < FIRST_FD + HOST_FILES);
	*file = (struct hostfile){ .file = (enum host_file)(fd - FIRST_FD), .writable = writable };
	*ret = file;
	return 0;
}

void hostfile_destroy(struct hostfile *file)
{
	free(file);
}

int hostfile_lock(struct hostfile *file, enum hostfile_role role, struct imgfmt_error *reterr)
{
	(void)file;
	(void)role;
	(void)reterr;
	return 0;
}

int hostfile_size(struct hostfile *file, uint64_t *ret)
{
	*ret = sizes[file->file];
	return 0;
}

int hostfile_allocated(struct hostfile *file, uint64_t *ret)
{
	*ret = (uint64_t)contents[file->file].page_count * SPARSE_PAGE;
	return 0;
}

int hostfile_identity(struct hostfile *file, uint64_t *ret_device, uint64_t *ret_inode)
{
	*ret_device = 0;
	*ret_inode = (uint64_t)file->file + 1;
	return 0;
}

/* ---- hostfile.h: bytes ---- */

static void count_work(uint64_t count)
{
	work += 1 + count / SPARSE_PAGE;
}

/* What stands in the way of a change: also a disk that is too small, or broken. */
static int check_change(const struct hostfile *file, uint64_t offset, uint64_t length)
{
	MUST(file->writable);
	if (!range_fits(offset, length, MAX_SIZE))
		return -EFBIG;
	if (fail_at == 0 || --fail_at > 0)
		return 0;
	has_failed = true;
	return -EIO;
}

int hostfile_read(struct hostfile *file, void *buffer, size_t count, uint64_t offset)
{
	uint64_t size = sizes[file->file];
	size_t inside = offset < size ? (size_t)min_u64(count, size - offset) : 0;

	count_work(count);
	sparse_get(&contents[file->file], buffer, inside, offset);
	memset((char *)buffer + inside, 0, count - inside);
	return 0;
}

int hostfile_write(struct hostfile *file, const void *buffer, size_t count, uint64_t offset)
{
	int r = check_change(file, offset, count);

	count_work(count);
	if (r == 0)
		r = sparse_put(&contents[file->file], buffer, count, offset, MAX_PAGES);
	if (r == 0)
		sizes[file->file] = max_u64(sizes[file->file], offset + count);
	return r;
}

int hostfile_writev(struct hostfile *file, struct iovec *iov, int iov_count, uint64_t offset)
{
	for (int i = 0; i < iov_count; i++) {
		int r = hostfile_write(file, iov[i].iov_base, iov[i].iov_len, offset);

		if (r < 0)
			return r;
		offset += iov[i].iov_len;
	}
	return 0;
}

int hostfile_zero(struct hostfile *file, uint64_t offset, uint64_t length, bool punch)
{
	int r = check_change(file, offset, length);

	(void)punch;
	count_work(0);
	if (r < 0)
		return r;
	sparse_clear(&contents[file->file], offset, length);
	sizes[file->file] = max_u64(sizes[file->file], offset + length);
	return 0;
}

void hostfile_discard(struct hostfile *file, uint64_t offset, uint64_t length)
{
	count_work(0);
	if (check_change(file, offset, length) == 0)
		sparse_clear(&contents[file->file], offset, length);
}

int hostfile_truncate(struct hostfile *file, uint64_t size)
{
	int r = check_change(file, 0, size);

	count_work(0);
	if (r == 0)
		host_resize(file->file, size);
	return r;
}

int hostfile_extend(struct hostfile *file, uint64_t size)
{
	int r = check_change(file, 0, size);

	count_work(0);
	if (r == 0)
		sizes[file->file] = max_u64(sizes[file->file], size);
	return r;
}

int hostfile_sync(struct hostfile *file)
{
	if (!file->writable)
		return 0;
	count_work(0);
	if (check_change(file, 0, 0) < 0)
		file->sync_failed = true;
	return file->sync_failed ? -EIO : 0;
}

int hostfile_status(struct hostfile *file, uint64_t offset, uint64_t length, bool *ret_data,
		    uint64_t *ret_length)
{
	uint64_t size = sizes[file->file];

	count_work(0);
	if (offset >= size) {
		*ret_data = false;
		*ret_length = length;
		return 0;
	}
	sparse_status(&contents[file->file], offset, length, ret_data, ret_length);
	if (*ret_data)
		*ret_length = min_u64(*ret_length, size - offset);
	return 0;
}
