/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that contradict themselves, found out while they are in use: the request fails, it is said
 * once and with the place, the header is marked, and nothing is written any more.
 */
#include "qcow2/qcow2.h"
#include "small-qcow2.h"

#include <errno.h>

static char said[1024];
static unsigned int times_said;

static void warn(void *userdata, const char *message)
{
	(void)userdata;
	/* Some entries here point behind the end of the file, which is another matter. */
	if (strstr(message, "was cut short"))
		return;
	times_said++;
	snprintf(said, sizeof(said), "%s", message);
}

static struct imgfmt_image *open_again(int fd, bool read_only)
{
	const struct imgfmt_open_options options = {
		.path = "small",
		.format = "qcow2",
		.read_only = read_only,
		.warn = warn,
	};
	struct imgfmt_image *image;
	struct imgfmt_error error;
	int r;

	times_said = 0;
	r = imgfmt_open(test_reopen(fd, read_only ? O_RDONLY : O_RDWR), &options, &image, &error);
	if (r < 0)
		fprintf(stderr, "%s\n", error.text);
	CHECK_EQUAL(r, 0);
	return image;
}

static bool is_marked(int fd)
{
	return (peek64(fd, QCOW2_AT_INCOMPATIBLE) & QCOW2_INCOMPATIBLE_CORRUPT) != 0;
}

/* Nothing is written any more, what was read before can still be read, and closing works. */
static void check_stopped(struct imgfmt_image *image, int fd, const char *words)
{
	uint8_t bytes[512];

	CHECK_EQUAL(times_said, 1);
	CHECK(strstr(said, words));
	CHECK(is_marked(fd));
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), -EROFS);
	CHECK_EQUAL(imgfmt_zero(image, 0, CLUSTER, IMGFMT_ZERO_KEEP), -EROFS);
	CHECK_EQUAL(imgfmt_truncate(image, 2 * DISK_SIZE), -EROFS);
	CHECK_EQUAL(imgfmt_read(image, bytes, sizeof(bytes), 0), 0);
	CHECK(test_all(bytes, sizeof(bytes), 0x77));
	CHECK_EQUAL(imgfmt_flush(image), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

static void test_sound_image(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image = open_again(fd, false);
	uint8_t bytes[CLUSTER];

	CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), 0);
	CHECK_EQUAL(imgfmt_read(image, bytes, 1, 100 * CLUSTER), 0);
	CHECK(bytes[0] == 'x');
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(!is_marked(fd) && times_said == 0);
	CHECK(peek64(fd, AT_L2 + 100 * 8) == (IMAGE_END | QCOW2_FLAG_COPIED));
	close(fd);
}

static void test_bad_l2_entry(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;
	uint8_t bytes[CLUSTER];

	poke64(fd, AT_L2 + 7 * 8, 0x5200 | QCOW2_FLAG_COPIED);
	image = open_again(fd, true);
	CHECK_EQUAL(imgfmt_read(image, bytes, 1, 7 * CLUSTER), -EUCLEAN);
	CHECK_EQUAL(imgfmt_read(image, bytes, 1, 7 * CLUSTER), -EUCLEAN);
	CHECK_EQUAL(imgfmt_read(image, bytes, CLUSTER, 0), 0);
	CHECK_EQUAL(times_said, 1);
	CHECK(strstr(said, "guest offset 0x7000") && strstr(said, "0x4038"));
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(!is_marked(fd));

	image = open_again(fd, false);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 7 * CLUSTER), -EUCLEAN);
	check_stopped(image, fd, "guest offset 0x7000");
	close(fd);
}

static void test_bad_l1_entry(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;
	uint8_t byte;

	poke64(fd, AT_L1, (AT_L2 + 512) | QCOW2_FLAG_COPIED);
	image = open_again(fd, true);
	CHECK_EQUAL(imgfmt_read(image, &byte, 1, 0), -EUCLEAN);
	CHECK(strstr(said, "L1 entry 0 is 0x8000000000004200"));
	CHECK_EQUAL(imgfmt_close(image), 0);
	close(fd);
}

/* Guest data over a table: what is written there could name files of the host. */
static void test_data_over_tables(void)
{
	const uint64_t places[] = { AT_REFTABLE, AT_BLOCK, AT_L1, AT_L2 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = small_qcow2();
		struct imgfmt_image *image;
		uint8_t before[CLUSTER], after[CLUSTER];

		poke64(fd, AT_L2 + 7 * 8, places[i] | QCOW2_FLAG_COPIED);
		CHECK(pread(fd, before, CLUSTER, (off_t)places[i]) == CLUSTER);
		image = open_again(fd, false);
		CHECK_EQUAL(imgfmt_write(image, "xxxx", 4, 7 * CLUSTER), -EUCLEAN);
		CHECK(pread(fd, after, CLUSTER, (off_t)places[i]) == CLUSTER);
		CHECK(memcmp(before, after, CLUSTER) == 0);
		check_stopped(image, fd, "lies over a table");
		close(fd);
	}
}

/*
 * Put a snapshot with its L1 table behind the end of the small image; the refcounts know of both.
 */
static void add_snapshot(int fd, uint64_t l1_offset)
{
	uint8_t entry[40 + 16 + 8] = { 0 };
	uint8_t field[12];

	put_be64(entry, l1_offset);
	put_be32(entry + 8, 1);
	put_be16(entry + 12, 1);
	put_be16(entry + 14, 1);
	put_be32(entry + 36, 16);
	put_be64(entry + 48, DISK_SIZE);
	memcpy(entry + 56, "1s", 2);
	CHECK(pwrite(fd, entry, sizeof(entry), IMAGE_END) == (ssize_t)sizeof(entry));
	put_be32(field, 1);
	put_be64(field + 4, IMAGE_END);
	CHECK(pwrite(fd, field, sizeof(field), QCOW2_AT_SNAPSHOT_COUNT) == (ssize_t)sizeof(field));
	poke64(fd, AT_BLOCK + 8, UINT64_C(0x0001000100010001));
	poke64(fd, l1_offset, 0);
}

/*
 * Tables that nobody has read so far: the L2 table of another part of the disk, and a snapshot's
 * L1.
 */
static void test_data_over_distant_tables(void)
{
	const uint64_t distant_l2 = IMAGE_END + 3 * CLUSTER, snapshot_l1 = IMAGE_END + CLUSTER;
	const uint64_t places[] = { distant_l2, snapshot_l1 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = small_qcow2();
		struct imgfmt_image *image;
		uint8_t two[4];

		add_snapshot(fd, snapshot_l1);
		poke64(fd, AT_BLOCK + 16, UINT64_C(0x0001000100000000));
		put_be32(two, 2);
		CHECK(pwrite(fd, two, sizeof(two), QCOW2_AT_L1_SIZE) == (ssize_t)sizeof(two));
		poke64(fd, QCOW2_AT_SIZE, 2 * DISK_SIZE);
		poke64(fd, AT_L1 + 8, distant_l2 | QCOW2_FLAG_COPIED);
		poke64(fd, distant_l2, 0);
		poke64(fd, AT_L2 + 7 * 8, places[i] | QCOW2_FLAG_COPIED);
		image = open_again(fd, false);
		CHECK_EQUAL(imgfmt_write(image, "xxxx", 4, 7 * CLUSTER), -EUCLEAN);
		CHECK(peek64(fd, places[i]) == 0);
		check_stopped(image, fd, "lies over a table");
		close(fd);
	}
}

/* An entry that names a free cluster, which then becomes a table. */
static void test_data_over_new_table(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;
	uint8_t two[4];

	put_be32(two, 2);
	CHECK(pwrite(fd, two, sizeof(two), QCOW2_AT_L1_SIZE) == (ssize_t)sizeof(two));
	poke64(fd, QCOW2_AT_SIZE, 2 * DISK_SIZE);
	poke64(fd, AT_L2 + 7 * 8, IMAGE_END | QCOW2_FLAG_COPIED);
	image = open_again(fd, false);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, DISK_SIZE), 0);
	CHECK_EQUAL(imgfmt_flush(image), 0);
	CHECK(peek64(fd, AT_L1 + 8) == (IMAGE_END | QCOW2_FLAG_COPIED));
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 7 * CLUSTER), -EUCLEAN);
	check_stopped(image, fd, "lies over a table");
	close(fd);
}

/* One L2 table for two parts of the disk, or one refcount block for two parts of the file. */
static void test_table_twice(void)
{
	const uint64_t entries[][2] = {
		{ AT_L1 + 8, AT_L2 | QCOW2_FLAG_COPIED },
		{ AT_REFTABLE + 8, AT_BLOCK },
		{ AT_L1 + 8, AT_BLOCK },
	};

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		int fd = small_qcow2();
		struct imgfmt_image *image;
		uint8_t two[4];

		put_be32(two, 2);
		CHECK(pwrite(fd, two, sizeof(two), QCOW2_AT_L1_SIZE) == (ssize_t)sizeof(two));
		poke64(fd, entries[i][0], entries[i][1]);
		image = open_again(fd, false);
		CHECK_EQUAL(imgfmt_write(image, "x", 1, 0), -EUCLEAN);
		check_stopped(image, fd, "two tables share the cluster");
		close(fd);
	}
}

/* A refcount of 0 for a cluster in use: it must not be handed out where a table lies. */
static void test_table_called_free(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;

	poke64(fd, AT_BLOCK, UINT64_C(0x0001000100010000)); /* the L1 table's */
	image = open_again(fd, false);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), -EUCLEAN);
	check_stopped(image, fd, "free, where a table lies");
	CHECK(peek64(fd, AT_L1) == (AT_L2 | QCOW2_FLAG_COPIED));
	close(fd);
}

/* Freeing a cluster whose refcount is 0 already. */
static void test_refcount_too_low(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;

	poke64(fd, AT_L2 + 7 * 8, (IMAGE_END + 10 * CLUSTER) | QCOW2_FLAG_COPIED);
	image = open_again(fd, false);
	CHECK_EQUAL(imgfmt_zero(image, 7 * CLUSTER, CLUSTER, IMGFMT_ZERO_DISCARD), -EUCLEAN);
	check_stopped(image, fd, "too low");
	close(fd);
}

static void test_bad_reftable_entry(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;

	poke64(fd, AT_REFTABLE, AT_BLOCK + 512);
	image = open_again(fd, false);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), -EUCLEAN);
	check_stopped(image, fd, "refcount table entry 0");
	close(fd);
}

/* A refcount block where the L1 table is: a count raised there would change an entry. */
static void test_block_over_table(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;

	poke64(fd, AT_REFTABLE, AT_L1);
	image = open_again(fd, false);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), -EUCLEAN);
	check_stopped(image, fd, "table");
	CHECK(peek64(fd, AT_L1) == (AT_L2 | QCOW2_FLAG_COPIED));
	close(fd);
}

/* An L2 table where the L1 table is; also one that is shared, and would be copied first. */
static void test_l2_table_over_l1_table(void)
{
	const uint64_t entries[] = { AT_L1, AT_L1 | QCOW2_FLAG_COPIED };

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		int fd = small_qcow2();
		struct imgfmt_image *image;

		poke64(fd, AT_L1, entries[i]);
		image = open_again(fd, false);
		CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), -EUCLEAN);
		CHECK_EQUAL(times_said, 1);
		CHECK(strstr(said, "L2 table at 0x3000 lies over another table"));
		CHECK(peek64(fd, AT_L1) == entries[i]);
		CHECK_EQUAL(imgfmt_close(image), 0);
		close(fd);
	}
}

/* Looking ahead says what is there, but nothing of what is wrong: nobody has asked for it. */
static void test_looking_ahead(void)
{
	int fd = small_qcow2();
	struct l2_entry entry;
	struct imgfmt_image *image;
	struct qcow2 *q;

	poke64(fd, AT_L2 + 2 * 8, 0x5200 | QCOW2_FLAG_COPIED);
	image = open_again(fd, false);
	q = qcow2_of(image);
	pthread_mutex_lock(&q->meta);
	CHECK(qcow2_look_ahead(q, 0, &entry));
	CHECK_EQUAL(entry.kind, SUBCLUSTER_UNALLOCATED);
	CHECK(!qcow2_look_ahead(q, CLUSTER, &entry));
	CHECK(!qcow2_look_ahead(q, DISK_SIZE - CLUSTER, &entry));
	pthread_mutex_unlock(&q->meta);
	CHECK_EQUAL(times_said, 0);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, 100 * CLUSTER), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(!is_marked(fd));
	close(fd);
}

/*
 * An entry that names a table as its own cluster, or as compressed data, and is then let go of: the
 * table must not be given back to the host.
 */
static void test_letting_go_of_tables(void)
{
	const uint64_t entries[] = {
		QCOW2_FLAG_COMPRESSED, /* at the header */
		QCOW2_FLAG_COMPRESSED | AT_L1, AT_REFTABLE, AT_L1, AT_L1 | QCOW2_FLAG_COPIED, AT_L2,
	};

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		uint64_t place = entries[i] & QCOW2_OFFSET_MASK;
		uint8_t before[CLUSTER], after[CLUSTER];
		struct imgfmt_image *image;
		int fd = small_qcow2();

		poke64(fd, AT_L2 + 7 * 8, entries[i]);
		image = open_again(fd, false);
		CHECK(pread(fd, before, CLUSTER, (off_t)place) == CLUSTER);
		CHECK_EQUAL(imgfmt_zero(image, 7 * CLUSTER, CLUSTER, IMGFMT_ZERO_DISCARD), 0);
		CHECK_EQUAL(imgfmt_flush(image), -EUCLEAN);
		CHECK(pread(fd, after, CLUSTER, (off_t)place) == CLUSTER);
		/* Only the entry itself and the mark have changed. */
		put_be64(before + (place == AT_L2 ? 7 * 8 : CLUSTER - 8),
			 place == AT_L2 ? QCOW2_FLAG_ZERO : get_be64(before + CLUSTER - 8));
		if (place == 0)
			put_be64(before + QCOW2_AT_INCOMPATIBLE, QCOW2_INCOMPATIBLE_CORRUPT);
		CHECK(memcmp(before, after, CLUSTER) == 0);
		check_stopped(image, fd, "has a table in it");
		close(fd);
	}
}

int main(void)
{
	test_sound_image();
	test_bad_l2_entry();
	test_bad_l1_entry();
	test_data_over_tables();
	test_data_over_distant_tables();
	test_data_over_new_table();
	test_table_twice();
	test_table_called_free();
	test_refcount_too_low();
	test_bad_reftable_entry();
	test_block_over_table();
	test_letting_go_of_tables();
	test_l2_table_over_l1_table();
	test_looking_ahead();
	return 0;
}
