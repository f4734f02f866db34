/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables that go, and those that come in their place. */
#include "small-qcow2.h"

#include "cleanup.h"

static struct imgfmt_image *open_image(int fd)
{
	const struct imgfmt_open_options options = { .path = "small", .format = "qcow2" };
	struct imgfmt_image *image;

	CHECK_EQUAL(imgfmt_open(test_reopen(fd, O_RDWR), &options, &image, NULL), 0);
	return image;
}

static void write_value(struct imgfmt_image *image, uint64_t guest_offset, unsigned char value)
{
	uint8_t bytes[CLUSTER];

	memset(bytes, value, sizeof(bytes));
	CHECK_EQUAL(imgfmt_write(image, bytes, sizeof(bytes), guest_offset), 0);
}

static bool reads_as(struct imgfmt_image *image, uint64_t guest_offset, unsigned char value)
{
	uint8_t bytes[CLUSTER];

	CHECK_EQUAL(imgfmt_read(image, bytes, sizeof(bytes), guest_offset), 0);
	return test_all(bytes, sizeof(bytes), value);
}

/*
 * An L2 table whose entry does not say that it is the only one's is copied before it changes, and
 * freed if it was. A new table in its place has nothing of it, also where the cache has seen both.
 */
static void test_table_in_the_place_of_another(void)
{
	_cleanup_close_ int fd = small_qcow2();
	struct imgfmt_image *image;

	poke64(fd, QCOW2_AT_SIZE, 2 * (uint64_t)DISK_SIZE);
	CHECK(pwrite(fd, (uint8_t[]){ 0, 0, 0, 2 }, 4, QCOW2_AT_L1_SIZE) == 4);
	poke64(fd, AT_L1, AT_L2);
	image = open_image(fd);
	write_value(image, 1 * CLUSTER, 0x11);
	/* Durable; then nobody uses it any more. */
	CHECK_EQUAL(imgfmt_flush(image), 0);
	CHECK_EQUAL(imgfmt_flush(image), 0);
	CHECK(peek64(fd, AT_L1) != (AT_L2 | QCOW2_FLAG_COPIED));
	write_value(image, DISK_SIZE + 2 * CLUSTER, 0x22);
	CHECK(reads_as(image, DISK_SIZE, 0));
	CHECK(reads_as(image, DISK_SIZE + 2 * CLUSTER, 0x22));
	CHECK(reads_as(image, 0, 0x77));
	CHECK_EQUAL(imgfmt_close(image), 0);
	CHECK_EQUAL(peek64(fd, AT_L1 + 8), AT_L2 | QCOW2_FLAG_COPIED);
	CHECK_EQUAL(peek64(fd, AT_L2), 0);
}

/* ---- the refcount table ---- */

/* Clusters of 512 bytes, and refcounts of 64 bits: a block is for 64 clusters, the table for 64. */
enum {
	SECTOR = 512,
	BLOCK_BYTES = 64 * SECTOR,
	TABLE_BYTES = 64 * BLOCK_BYTES,
	L1_ENTRIES = 256,
	L1_CLUSTERS = L1_ENTRIES * 8 / SECTOR,
};

static int tiny_image(void)
{
	uint8_t header[SECTOR] = { 0 };
	int fd = test_memory_file();

	make_header(header);
	put_be32(header + QCOW2_AT_CLUSTER_BITS, 9);
	put_be32(header + QCOW2_AT_REFCOUNT_ORDER, 6);
	put_be64(header + QCOW2_AT_SIZE, (uint64_t)L1_ENTRIES * BLOCK_BYTES);
	put_be32(header + QCOW2_AT_L1_SIZE, L1_ENTRIES);
	put_be64(header + QCOW2_AT_L1_OFFSET, 3 * SECTOR);
	put_be64(header + QCOW2_AT_REFTABLE_OFFSET, SECTOR);
	CHECK(pwrite(fd, header, sizeof(header), 0) == sizeof(header));
	poke64(fd, SECTOR, 2 * SECTOR);
	for (unsigned int cluster = 0; cluster < 3 + L1_CLUSTERS; cluster++)
		poke64(fd, 2 * SECTOR + cluster * 8, 1);
	CHECK(ftruncate(fd, (3 + L1_CLUSTERS) * SECTOR) == 0);
	return fd;
}

/*
 * When the refcount table becomes too small, the one in its place leads also to the blocks that
 * only the cache knew of.
 */
static void test_refcount_table_grows(void)
{
	_cleanup_close_ int fd = tiny_image();
	struct imgfmt_image *image = open_image(fd);
	static uint8_t bytes[TABLE_BYTES];
	uint64_t table;
	off_t size;

	memset(bytes, 0x33, sizeof(bytes));
	CHECK_EQUAL(imgfmt_write(image, bytes, sizeof(bytes), 0), 0);
	CHECK_EQUAL(imgfmt_close(image), 0);
	table = peek64(fd, QCOW2_AT_REFTABLE_OFFSET);
	size = lseek(fd, 0, SEEK_END);
	CHECK(table != SECTOR && size > TABLE_BYTES);
	for (uint64_t i = 0; i < (uint64_t)size / BLOCK_BYTES; i++)
		CHECK(peek64(fd, table + i * 8) != 0);
}

int main(void)
{
	test_table_in_the_place_of_another();
	test_refcount_table_grows();
	return 0;
}
