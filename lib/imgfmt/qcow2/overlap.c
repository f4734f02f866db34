/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where guest data must never go. An image that contradicts itself may say that a guest cluster
 * lies over its own header: who writes there could, say, name files of the host for the next who
 * opens the image.
 *
 * The header says where the fixed tables are. Those that entries lead to are collected before the
 * first write, and from then on whoever makes a table or lets go of one says so.
 */
#include "qcow2.h"

#include "bytes.h"
#include "cleanup.h"
#include "overflow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Tables are read in pieces of so many bytes. */
#define CHUNK ((size_t)64 << 10)

/*
 * So many tables there can be, and memory is taken for: 41 MiB. Only an image that invents L1
 * tables of many GiB for its snapshots has more.
 */
#define MAX_TABLES ((QCOW2_MAX_L1_BYTES + QCOW2_MAX_REFTABLE_BYTES) / 8 + QCOW2_MAX_SNAPSHOTS)

static int check_fixed(const struct qcow2 *q, uint64_t host_offset, uint64_t length)
{
	const struct qcow2_header *header = &q->header;
	uint64_t cluster_size = q->geometry.cluster_size;
	const struct {
		uint64_t offset, length;
	} fixed[] = {
		{ 0, cluster_size },
		{ header->l1_offset, (uint64_t)header->l1_size * 8 },
		{ header->reftable_offset, header->reftable_clusters * cluster_size },
		{ header->snapshots_offset, q->snapshots_length },
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (ranges_overlap(host_offset, length, fixed[i].offset, fixed[i].length))
			return -EUCLEAN;
	return 0;
}

/* The clusters that have a byte of a range. */
static struct run clusters_of(const struct qcow2 *q, uint64_t host_offset, uint64_t length)
{
	uint64_t first = cluster_of(&q->geometry, host_offset);
	uint64_t end = units_of(host_offset + length, q->geometry.cluster_bits);

	return (struct run){ first, end - first };
}

int qcow2_check_overlap(const struct qcow2 *q, uint64_t host_offset, uint64_t length)
{
	if (run_set_overlaps(&q->tables, clusters_of(q, host_offset, length)))
		return -EUCLEAN;
	return check_fixed(q, host_offset, length);
}

/* ---- collecting ---- */

/* Collect a table that an entry names. A hostile image has some where its header is. */
static int collect(struct qcow2 *q, const char *what, uint64_t table_offset, uint64_t size)
{
	if (check_fixed(q, table_offset, size) < 0)
		return qcow2_corrupt(q, "%s at 0x%" PRIx64 " lies over another table", what,
				     table_offset);
	if (q->tables.count > MAX_TABLES)
		return qcow2_corrupt(
			q, "with the %s at 0x%" PRIx64 " it has more tables than there can be",
			what, table_offset);
	return run_set_collect(&q->tables, clusters_of(q, table_offset, size));
}

/* Collect the cluster that an entry of the L1 table names. An entry that is wrong names none. */
static int collect_l2(struct qcow2 *q, uint64_t entry)
{
	struct l1_entry l1;

	if (l1_entry_parse(&q->geometry, entry, &l1) < 0 || l1.l2_offset == 0)
		return 0;
	return collect(q, "L2 table", l1.l2_offset, q->geometry.cluster_size);
}

/*
 * What is missing of the refcounts where a file was cut short reads as zeroes: clusters that are in
 * use would look free. Who reads needs no refcounts.
 */
static int check_not_cut_off(struct qcow2 *q, const char *what, uint64_t offset, uint64_t size)
{
	if (range_fits(offset, size, q->file_end))
		return 0;
	return qcow2_corrupt(q, "%s at 0x%" PRIx64 " reaches behind the end of the file", what,
			     offset);
}

/* The same of the refcount table. */
static int collect_block(struct qcow2 *q, uint64_t entry)
{
	uint64_t block;
	int r;

	if (reftable_entry_parse(&q->geometry, entry, &block) < 0 || block == 0)
		return 0;
	r = check_not_cut_off(q, "refcount block", block, q->geometry.cluster_size);
	return r < 0 ? r : collect(q, "refcount block", block, q->geometry.cluster_size);
}

/* Collect what the entries of a table lead to. Nothing is dirty yet, so the file has it all. */
static int collect_from(struct qcow2 *q, uint64_t table_offset, uint64_t size,
			int (*collect_entry)(struct qcow2 *q, uint64_t entry))
{
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < size && r == 0; at += CHUNK) {
		size_t count = (size_t)min_u64(CHUNK, size - at);

		r = hostfile_read(q->file, chunk, count, table_offset + at);
		for (size_t i = 0; i < count && r == 0; i += 8)
			r = collect_entry(q, get_be64(chunk + i));
	}
	return r;
}

/* Collect the refcount blocks. All that says how often clusters are used must be there. */
static int collect_refcounts(struct qcow2 *q)
{
	uint64_t size = offset_of(&q->geometry, q->header.reftable_clusters);
	int r;

	r = hostfile_size(q->file, &q->file_end);
	if (r == 0)
		r = check_not_cut_off(q, "refcount table", q->header.reftable_offset, size);
	return r < 0 ? r : collect_from(q, q->header.reftable_offset, size, collect_block);
}

/* Collect the L1 tables of the snapshots. */
static int collect_snapshots(struct qcow2 *q)
{
	for (uint32_t i = 0; i < q->header.snapshot_count; i++) {
		uint64_t offset, size;
		int r = qcow2_get_snapshot_l1(q, i, &offset, &size);

		if (r == 0 && range_fits(offset, size, QCOW2_MAX_HOST_OFFSET))
			r = collect(q, "L1 table of a snapshot", offset, size);
		if (r < 0)
			return r;
	}
	return 0;
}

int qcow2_collect_tables(struct qcow2 *q)
{
	uint64_t twice;
	int r;

	r = collect_from(q, q->header.l1_offset, (uint64_t)q->header.l1_size * 8, collect_l2);
	if (r == 0)
		r = collect_refcounts(q);
	if (r == 0)
		r = collect_snapshots(q);
	if (r == 0 && !run_set_sort(&q->tables, &twice))
		r = qcow2_corrupt(q, "two tables share the cluster at 0x%" PRIx64,
				  offset_of(&q->geometry, twice));
	if (r < 0)
		run_set_finish(&q->tables);
	return r;
}
