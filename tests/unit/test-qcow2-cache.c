/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache of table slices: what is found again, evicted, frozen, written, forgotten. */
#include "qcow2/cache.h"

#include "test.h"

#define SLICE  512
#define SLICES 200 /* more than the cache keeps at least */

static struct hostfile *file;
static struct cache cache;

static void start(void)
{
	int fd = test_memory_file();
	uint8_t slice[SLICE];

	for (unsigned int i = 0; i < SLICES; i++) {
		memset(slice, (int)i, sizeof(slice));
		CHECK(pwrite(fd, slice, sizeof(slice), i * SLICE) == SLICE);
	}
	CHECK(hostfile_create(fd, true, &file) == 0);
	CHECK(cache_init(&cache, file, SLICE, 0) == 0);
}

static void finish(void)
{
	cache_finish(&cache);
	hostfile_destroy(file);
}

static struct slice *get(unsigned int i, enum cache_stage stage)
{
	struct slice *slice;

	CHECK(cache_get(&cache, i * SLICE, stage, &slice) == 0);
	return slice;
}

static void set(unsigned int i, enum cache_stage stage, uint8_t value)
{
	struct slice *slice = get(i, stage);

	CHECK(cache_modify(&cache, slice) == 0);
	memset(slice->data, value, SLICE);
	cache_put(&cache, slice);
}

static void check_cached(unsigned int i, uint8_t value)
{
	struct slice *slice = get(i, STAGE_MAP);

	CHECK(test_all(slice->data, SLICE, value));
	cache_put(&cache, slice);
}

/* Does the cache answer, and not the file, which says something else for the moment? */
static bool is_cached(unsigned int i)
{
	uint8_t kept[SLICE], other[SLICE];
	struct slice *slice;
	bool cached;

	CHECK(hostfile_read(file, kept, SLICE, i * SLICE) == 0);
	memset(other, 0xee, SLICE);
	CHECK(hostfile_write(file, other, SLICE, i * SLICE) == 0);
	slice = get(i, STAGE_MAP);
	cached = !test_all(slice->data, SLICE, 0xee);
	cache_put(&cache, slice);
	CHECK(hostfile_write(file, kept, SLICE, i * SLICE) == 0);
	return cached;
}

static void check_file(unsigned int i, uint8_t value)
{
	uint8_t slice[SLICE];

	CHECK(hostfile_read(file, slice, SLICE, i * SLICE) == 0);
	CHECK(test_all(slice, SLICE, value));
}

static void test_stays_within_limit(void)
{
	start();
	for (unsigned int i = 0; i < SLICES; i++)
		check_cached(i, (uint8_t)i);
	CHECK(cache.count == cache.limit);
	/* The slice used last is still there, the first one is not. */
	CHECK(is_cached(SLICES - 1));
	CHECK(!is_cached(0));
	finish();
}

static void test_use_protects_from_eviction(void)
{
	start();
	for (unsigned int i = 0; i < SLICES; i++) {
		check_cached(i, (uint8_t)i);
		check_cached(0, 0);
	}
	CHECK(is_cached(0));
	finish();
}

/* What is dirty or pinned is kept even where the cache must grow for it, and it shrinks again. */
static void test_dirty_is_not_evicted(void)
{
	struct slice *pinned;

	start();
	pinned = get(SLICES - 1, STAGE_MAP);
	for (unsigned int i = 0; i < SLICES - 1; i++)
		set(i, STAGE_MAP, 0xee);
	CHECK(cache.count == SLICES);
	CHECK(cache_wants_cleaning(&cache));
	for (unsigned int i = 0; i < SLICES - 1; i++)
		check_cached(i, 0xee);
	cache_freeze(&cache, STAGE_MAP);
	CHECK(cache_write_frozen(&cache, STAGE_MAP) == 0);
	CHECK(!cache_wants_cleaning(&cache));
	for (unsigned int i = 0; i < SLICES - 1; i++)
		check_file(i, 0xee);
	cache_put(&cache, pinned);
	CHECK(cache.count == cache.limit);
	finish();
}

/* A flush writes what there was when it began; what changes meanwhile is for the next one. */
static void test_change_while_frozen(void)
{
	start();
	set(3, STAGE_MAP, 0x11);
	cache_freeze(&cache, STAGE_MAP);
	set(3, STAGE_MAP, 0x22);
	check_cached(3, 0x22);
	CHECK(cache_write_frozen(&cache, STAGE_MAP) == 0);
	check_file(3, 0x11);
	CHECK(cache_is_dirty(&cache, STAGE_MAP));
	cache_freeze(&cache, STAGE_MAP);
	CHECK(cache_write_frozen(&cache, STAGE_MAP) == 0);
	check_file(3, 0x22);
	CHECK(!cache_is_dirty(&cache, STAGE_MAP));
	finish();
}

static void test_thaw_keeps_changes(void)
{
	start();
	set(3, STAGE_MAP, 0x11);
	set(4, STAGE_MAP, 0x11);
	cache_freeze(&cache, STAGE_MAP);
	set(3, STAGE_MAP, 0x22);
	cache_thaw(&cache, STAGE_MAP);
	check_file(3, 3);
	cache_freeze(&cache, STAGE_MAP);
	CHECK(cache_write_frozen(&cache, STAGE_MAP) == 0);
	check_file(3, 0x22);
	check_file(4, 0x11);
	finish();
}

static void test_stages_are_separate(void)
{
	start();
	set(1, STAGE_REFCOUNTS, 0x11);
	set(2, STAGE_MAP, 0x22);
	cache_freeze(&cache, STAGE_REFCOUNTS);
	CHECK(cache_write_frozen(&cache, STAGE_REFCOUNTS) == 0);
	check_file(1, 0x11);
	check_file(2, 2);
	CHECK(!cache_is_dirty(&cache, STAGE_REFCOUNTS));
	CHECK(cache_is_dirty(&cache, STAGE_MAP));
	finish();
}

static void test_forgotten_is_not_written(void)
{
	start();
	set(1, STAGE_MAP, 0x11);
	set(2, STAGE_MAP, 0x22);
	set(3, STAGE_MAP, 0x33);
	cache_freeze(&cache, STAGE_MAP);
	set(1, STAGE_MAP, 0x44);
	cache_forget(&cache, 1 * SLICE, 2 * SLICE);
	CHECK(cache_write_frozen(&cache, STAGE_MAP) == 0);
	CHECK(!cache_is_dirty(&cache, STAGE_MAP));
	check_file(1, 1);
	check_file(2, 2);
	check_file(3, 0x33);
	check_cached(1, 1);
	finish();
}

/* A write that fails leaves everything to be written again. */
static void test_failed_write(void)
{
	int fd = test_memory_file();

	CHECK(ftruncate(fd, SLICES * SLICE) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	CHECK(hostfile_create(fd, true, &file) == 0);
	CHECK(cache_init(&cache, file, SLICE, 0) == 0);
	set(1, STAGE_MAP, 0x11);
	set(7, STAGE_MAP, 0x77);
	cache_freeze(&cache, STAGE_MAP);
	CHECK(cache_write_frozen(&cache, STAGE_MAP) < 0);
	CHECK(cache.dirty_count == 2);
	check_cached(7, 0x77);
	finish();
}

int main(void)
{
	test_stays_within_limit();
	test_use_protects_from_eviction();
	test_dirty_is_not_evicted();
	test_change_while_frozen();
	test_thaw_keeps_changes();
	test_stages_are_separate();
	test_forgotten_is_not_written();
	test_failed_write();
	return 0;
}
