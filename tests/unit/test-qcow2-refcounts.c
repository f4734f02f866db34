/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clusters that are in use, and whose refcounts say that they are not. They must not be handed out,
 * nor given back to the host a second time: whoever gets one loses what he writes. That is found
 * before anything has changed.
 */
#include "small-qcow2.h"

#include "array.h"
#include "image.h"

#include <errno.h>

/* Guest clusters that the tests write to. */
#define VICTIM    (7 * CLUSTER)
#define ELSEWHERE (100 * CLUSTER)

static char said[1024];

static void warn(void *userdata, const char *message)
{
	(void)userdata;
	snprintf(said, sizeof(said), "%s", message);
}

static struct imgfmt_image *open_small(int fd)
{
	const struct imgfmt_open_options options = { .path = "small",
						     .format = "qcow2",
						     .warn = warn };
	struct imgfmt_image *image;
	struct imgfmt_error error;

	said[0] = 0;
	CHECK_EQUAL(imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, &error), 0);
	return image;
}

static void set_refcount(int fd, uint64_t block_offset, uint64_t index, uint16_t value)
{
	uint8_t bytes[2];

	put_be16(bytes, value);
	CHECK(pwrite(fd, bytes, sizeof(bytes), (off_t)(block_offset + index * 2)) == 2);
}

static void fill_cluster(int fd, uint64_t host_offset, uint8_t byte)
{
	uint8_t cluster[CLUSTER];

	memset(cluster, byte, sizeof(cluster));
	CHECK(pwrite(fd, cluster, CLUSTER, (off_t)host_offset) == CLUSTER);
}

static bool cluster_holds(int fd, uint64_t host_offset, uint8_t byte)
{
	uint8_t cluster[CLUSTER];

	CHECK(pread(fd, cluster, CLUSTER, (off_t)host_offset) == CLUSTER);
	return test_all(cluster, CLUSTER, byte);
}

/* It was said and marked, nothing is written any more, and closing works. */
static void check_stopped(struct imgfmt_image *image, int fd, const char *words)
{
	CHECK(strstr(said, words));
	CHECK((peek64(fd, QCOW2_AT_INCOMPATIBLE) & QCOW2_INCOMPATIBLE_CORRUPT) != 0);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, ELSEWHERE), -EROFS);
	CHECK_EQUAL(imgfmt_close(image), 0);
}

static int write_a_byte(struct imgfmt_image *image)
{
	return imgfmt_write(image, "x", 1, VICTIM);
}

/* With the cluster before, which is sound: what is done there stays done. */
static int write_clusters(struct imgfmt_image *image)
{
	static const uint8_t data[2 * CLUSTER] = { 1 };

	return imgfmt_write(image, data, sizeof(data), VICTIM - CLUSTER);
}

static int discard(struct imgfmt_image *image)
{
	return imgfmt_zero(image, VICTIM, CLUSTER, IMGFMT_ZERO_DISCARD);
}

static int discard_clusters(struct imgfmt_image *image)
{
	return imgfmt_zero(image, VICTIM - CLUSTER, 2 * CLUSTER, IMGFMT_ZERO_DISCARD);
}

static int shrink(struct imgfmt_image *image)
{
	return imgfmt_truncate(image, VICTIM);
}

/*
 * All that lets go of a data cluster, or writes there. The last cluster of the entry is called
 * free, behind one that is.
 */
static void test_data_called_free(void)
{
	enum { SOUND = IMAGE_END + CLUSTER, FREE = SOUND + CLUSTER };
	const uint64_t entries[] = {
		FREE,
		FREE | QCOW2_FLAG_COPIED,
		FREE | QCOW2_FLAG_ZERO,
		/* Two sectors, one in each of two clusters. */
		(FREE - 512) | QCOW2_FLAG_COMPRESSED | UINT64_C(1) << 58,
	};
	int (*const changes[])(struct imgfmt_image *) = { write_a_byte, write_clusters, discard,
							  discard_clusters, shrink };

	for (size_t i = 0; i < ARRAY_LENGTH(entries) * ARRAY_LENGTH(changes); i++) {
		uint64_t entry = entries[i / ARRAY_LENGTH(changes)];
		struct imgfmt_image *image;
		int fd = small_qcow2();

		fill_cluster(fd, SOUND, 0x66);
		fill_cluster(fd, FREE, 0x88);
		set_refcount(fd, AT_BLOCK, SOUND / CLUSTER, 2);
		poke64(fd, AT_L2 + 6 * 8, SOUND);
		poke64(fd, AT_L2 + 7 * 8, entry);
		image = open_small(fd);
		CHECK_EQUAL(changes[i % ARRAY_LENGTH(changes)](image), -EUCLEAN);
		check_stopped(image, fd, "refcount of the cluster at 0x8000, in use, is too low");
		CHECK(peek64(fd, AT_L2 + 7 * 8) == entry);
		CHECK(cluster_holds(fd, FREE, 0x88));
		CHECK(cluster_holds(fd, AT_DATA, 0x77));
		close(fd);
	}
}

/* An L2 table that is shared, and would be copied, where a free cluster comes first. */
static void test_l2_table_called_free(void)
{
	const uint64_t place = IMAGE_END + CLUSTER;
	int fd = small_qcow2();
	struct imgfmt_image *image;

	fill_cluster(fd, place, 0);
	poke64(fd, place, AT_DATA);
	poke64(fd, AT_L1, place);
	image = open_small(fd);
	CHECK_EQUAL(write_a_byte(image), -EUCLEAN);
	check_stopped(image, fd, "refcount of the cluster at 0x7000, in use, is too low");
	CHECK(peek64(fd, AT_L1) == place);
	CHECK(peek64(fd, place) == AT_DATA);
	close(fd);
}

/* The same of an L1 table that has to move. */
static void test_l1_table_called_free(void)
{
	const uint64_t place = IMAGE_END + CLUSTER;
	int fd = small_qcow2();
	struct imgfmt_image *image;

	fill_cluster(fd, place, 0);
	poke64(fd, place, AT_L2 | QCOW2_FLAG_COPIED);
	poke64(fd, QCOW2_AT_L1_OFFSET, place);
	image = open_small(fd);
	CHECK_EQUAL(imgfmt_truncate(image, 2 * DISK_SIZE), -EUCLEAN);
	check_stopped(image, fd, "refcount of the cluster at 0x7000, in use, is too low");
	CHECK(peek64(fd, QCOW2_AT_L1_OFFSET) == place);
	close(fd);
}

/* What is in the quarantine counts, wherever it waits there. */
static void test_unlinked_too_often(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;
	uint64_t epoch;

	fill_cluster(fd, IMAGE_END, 0x66);
	set_refcount(fd, AT_BLOCK, IMAGE_END / CLUSTER, 3);
	for (unsigned int i = 6; i < 10; i++)
		poke64(fd, AT_L2 + i * 8, IMAGE_END);
	image = open_small(fd);
	epoch = grace_enter(&image->grace);
	for (unsigned int i = 6; i < 9; i++) {
		CHECK_EQUAL(imgfmt_zero(image, i * CLUSTER, CLUSTER, IMGFMT_ZERO_DISCARD), 0);
		if (i < 8)
			CHECK_EQUAL(imgfmt_flush(image), 0);
	}
	CHECK_EQUAL(imgfmt_zero(image, 9 * CLUSTER, CLUSTER, IMGFMT_ZERO_DISCARD), -EUCLEAN);
	CHECK(cluster_holds(fd, IMAGE_END, 0x66));
	grace_leave(&image->grace, epoch);
	check_stopped(image, fd, "refcount of the cluster at 0x6000, in use, is too low");
	CHECK(peek64(fd, AT_L2 + 9 * 8) == IMAGE_END);
	close(fd);
}

/* As often as its refcount says, a cluster may be unlinked: also all at once, and again later. */
static void test_unlinked_as_counted(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;

	for (unsigned int round = 0; round < 3; round++) {
		fill_cluster(fd, IMAGE_END, 0x66);
		set_refcount(fd, AT_BLOCK, IMAGE_END / CLUSTER, 3);
		for (unsigned int i = 6; i < 9; i++)
			poke64(fd, AT_L2 + i * 8,
			       (IMAGE_END + 512 * (i - 6)) | QCOW2_FLAG_COMPRESSED);
		image = open_small(fd);
		for (unsigned int i = 6; i < 9; i++)
			CHECK_EQUAL(imgfmt_zero(image, i * CLUSTER, CLUSTER, IMGFMT_ZERO_DISCARD),
				    0);
		for (unsigned int i = 0; i < 5; i++) {
			CHECK_EQUAL(imgfmt_write(image, "x", 1, ELSEWHERE), 0);
			CHECK_EQUAL(imgfmt_flush(image), 0);
			CHECK_EQUAL(imgfmt_zero(image, ELSEWHERE, CLUSTER, IMGFMT_ZERO_DISCARD), 0);
			CHECK_EQUAL(imgfmt_flush(image), 0);
		}
		CHECK_EQUAL(imgfmt_close(image), 0);
		CHECK(said[0] == 0);
		CHECK_EQUAL(peek64(fd, AT_BLOCK + 8) & 0xffffffff, 0);
	}
	close(fd);
}

/*
 * A file that was cut short before or within a refcount block, or the refcount table: clusters in
 * use would look free. What can be read stays.
 */
static void test_refcounts_cut_off(void)
{
	enum { IN_BLOCK = CLUSTER / 2, KEPT = (IN_BLOCK + 1) * CLUSTER, END = KEPT + CLUSTER };
	const struct {
		uint64_t block, end;
		const char *words;
	} rows[] = {
		{ END, END, "refcount block at 0x802000 reaches behind the end of the file" },
		{ END, END + 512, "refcount block at 0x802000 reaches behind the end of the file" },
		{ 0, END + 512, "refcount table at 0x802000 reaches behind the end of the file" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int fd = small_qcow2();
		struct imgfmt_image *image;
		uint8_t cluster[CLUSTER];

		/* All in the first block is in use, and of the second the cluster that is kept. */
		for (uint64_t n = 0; n < IN_BLOCK; n++)
			set_refcount(fd, AT_BLOCK, n, 1);
		fill_cluster(fd, KEPT, 0x88);
		poke64(fd, AT_L2 + 7 * 8, KEPT | QCOW2_FLAG_COPIED);
		poke64(fd, AT_REFTABLE + 8, rows[i].block);
		if (!rows[i].block) {
			poke64(fd, QCOW2_AT_REFTABLE_OFFSET, END);
			poke64(fd, END, AT_BLOCK);
		}
		CHECK(ftruncate(fd, (off_t)rows[i].end) == 0);
		image = open_small(fd);
		memset(cluster, 0x99, sizeof(cluster));
		CHECK_EQUAL(imgfmt_write(image, cluster, CLUSTER, ELSEWHERE), -EUCLEAN);
		CHECK_EQUAL(imgfmt_read(image, cluster, CLUSTER, VICTIM), 0);
		CHECK(test_all(cluster, CLUSTER, 0x88));
		check_stopped(image, fd, rows[i].words);
		CHECK(cluster_holds(fd, KEPT, 0x88));
		close(fd);
	}
}

/* A file that ends behind its last refcount block is sound, wherever it ends. */
static void test_refcount_block_at_the_end(void)
{
	int fd = small_qcow2();
	struct imgfmt_image *image;
	uint8_t block[CLUSTER];

	CHECK(pread(fd, block, CLUSTER, AT_BLOCK) == CLUSTER);
	CHECK(pwrite(fd, block, CLUSTER, IMAGE_END) == CLUSTER);
	poke64(fd, AT_REFTABLE, IMAGE_END);
	set_refcount(fd, IMAGE_END, IMAGE_END / CLUSTER, 1);
	image = open_small(fd);
	CHECK_EQUAL(imgfmt_write(image, "x", 1, ELSEWHERE), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK(said[0] == 0);
	close(fd);
}

int main(void)
{
	test_data_called_free();
	test_l2_table_called_free();
	test_l1_table_called_free();
	test_unlinked_too_often();
	test_unlinked_as_counted();
	test_refcounts_cut_off();
	test_refcount_block_at_the_end();
	return 0;
}
