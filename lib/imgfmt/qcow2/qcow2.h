/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private to the qcow2 driver: the state of an open image, and which file offers what.
 *
 * The invariants that a crash at any moment relies on; the code cites them by name:
 *
 * I1 A cluster's refcount on disk is at least one before anything on disk points to it.
 * I2 Nothing on disk points to a cluster whose refcount on disk has dropped: decrements wait in
 *    the quarantine until the tables are flushed.
 * I3 What a new cluster holds is in the host file before an entry points to it, and durable before
 *    the entry is durable.
 * I4 Two allocating writes to one guest cluster never overlap in time; the later one waits. So
 *    does zeroing, also for writes in place: those must have ended before the next write fills what
 *    zeroing has left in reserve.
 * I5 A freed cluster is not allocated again before the flush that made its freeing durable, nor
 *    while a request may still use it.
 *
 * Locks: flushing, then meta. meta is held for look-ups, for changes of tables in the cache, and
 * for the I/O of tables; never for guest data, inflating or a sync. The exceptions are rare: a
 * header field that must be durable before anything else happens (qcow2_write_header()), the
 * refcount table's move (region.c), and letting go of clusters of a data file.
 *
 * Functions are called with meta held unless it says "takes meta".
 */
#pragma once

#include "../aes.h"
#include "../image.h"
#include "cache.h"
#include "entry.h"
#include "geometry.h"
#include "header.h"
#include "inflated.h"
#include "runs.h"
#include "tally.h"

#include <pthread.h>

/* Runs that nothing points to any more, each in its turn to have its refcounts lowered. */
struct quarantine {
	struct run *runs;
	size_t count, capacity;
};

/* Runs whose unlinking is durable. */
struct waiting {
	struct quarantine freed; /* was unlinked in or before the epoch */
	uint64_t epoch;
	struct quarantine next; /* what came since: it waits anew when @freed is done with */
};

/*
 * An entry of the snapshot table, and where it lies: the next that is asked for is mostly behind
 * it.
 */
struct snapshot_cursor {
	uint32_t index;
	uint64_t offset;
};

struct qcow2 {
	struct imgfmt_image *image;
	struct hostfile *file;      /* the image file */
	struct qcow2_header header; /* what is on disk, but for size: see size_pending */
	struct qcow2_geometry geometry;
	struct inflated_cache inflated;
	struct aes *aes;           /* NULL unless encrypted */
	bool has_backing;          /* what is unallocated may read as something */
	uint64_t snapshots_length; /* bytes of the snapshot table */

	pthread_mutex_t flushing; /* one flush at a time */
	bool size_pending;        /* image->size is not in the header yet; image->use keeps it */

	pthread_mutex_t meta; /* all below */
	struct cache cache;
	bool corrupt;                /* it was said, see qcow2_corrupt() */
	bool cut_short;              /* the same, see qcow2_check_end() */
	uint64_t file_end, data_end; /* the image file, and the data file, are no shorter */
	bool writing;                /* all is prepared, see qcow2_start_writing() */
	struct run_set tables; /* L2 tables, refcount blocks, L1 tables of snapshots; if writing */
	struct snapshot_cursor snapshot_cursor;
	uint64_t free_hint;      /* no host cluster below is free */
	uint64_t fresh_from;     /* no host byte from here on was ever written, or handed out */
	struct list allocations; /* in flight: struct driver_allocation */
	struct list in_place;    /* the same of writes that allocate nothing */
	pthread_cond_t allocation_ended;
	struct quarantine unlinked; /* by changes that are not durable yet */
	struct waiting waiting;     /* durable, but a request may still use them; flushing too */
	struct tally pending; /* of both, and of what a flush has taken: refcounts still count it */
};

static inline struct qcow2 *qcow2_of(struct imgfmt_image *image)
{
	return image->state;
}

/* Where guest data lies: in the image file, or in a data file. */
static inline struct hostfile *qcow2_data(const struct qcow2 *q)
{
	return q->image->data_file ? q->image->data_file : q->file;
}

/* ---- tables.c: L1 and L2 ---- */

/* The L1 entry responsible for @guest_offset. */
int qcow2_get_l1(struct qcow2 *q, uint64_t guest_offset, struct l1_entry *ret);

/* Pin the slice of the L2 table at @l2_offset that has the entry for @guest_offset. */
int qcow2_get_l2_slice(struct qcow2 *q, uint64_t l2_offset, uint64_t guest_offset,
		       struct slice **ret, size_t *ret_index);

/* The same, of a table that nobody shares: it is created, or copied if a snapshot has it too. */
int qcow2_own_l2_slice(struct qcow2 *q, uint64_t guest_offset, struct slice **ret,
		       size_t *ret_index);

/* The same, and its entries are about to be changed. */
int qcow2_change_l2_slice(struct qcow2 *q, uint64_t guest_offset, struct slice **ret,
			  size_t *ret_index);

/*
 * What the subclusters from @guest_offset on are, at most *count of them; sets *count to how many
 * the answer is for: alike, host clusters one behind the other where there are some, no more than
 * an L2 slice has. Without an L2 table they are UNALLOCATED.
 */
int qcow2_look_up(struct qcow2 *q, uint64_t guest_offset, uint64_t *count, struct l2_entry *ret);

/*
 * What the entry of the cluster behind that of @guest_offset says, which was looked up. False where
 * that is in another slice, or wrong: nobody has asked for it, and who does will hear of it.
 */
bool qcow2_look_ahead(struct qcow2 *q, uint64_t guest_offset, struct l2_entry *ret);

/* ---- map.c ---- */

int qcow2_map(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	      struct driver_extent *ret); /* takes meta */

/* ---- refcount.c ---- */

int qcow2_get_refcount(struct qcow2 *q, uint64_t host_cluster, uint64_t *ret);

/*
 * How many clusters at the start of a run have a refcount from @least to @most. Looks no further
 * than a slice: call it again behind a result that is not 0.
 */
int qcow2_count_refcounts(struct qcow2 *q, struct run run, uint64_t least, uint64_t most,
			  uint64_t *ret);

/*
 * Make the refcount block for a cluster, if there is none. That takes clusters, perhaps this one:
 * so it comes before one looks for free ones.
 */
int qcow2_ensure_block(struct qcow2 *q, uint64_t host_cluster);

int qcow2_set_reftable_entry(struct qcow2 *q, uint64_t index, uint64_t block_offset);

/*
 * Add 1 to the refcounts of a run, or take 1 away. Their blocks exist. After an error nothing has
 * changed. -EUCLEAN: a refcount would drop below 0, or not fit.
 */
int qcow2_raise_refcounts(struct qcow2 *q, struct run run);
int qcow2_lower_refcounts(struct qcow2 *q, struct run run);

/* The entries that the refcount table has room for. */
static inline uint64_t qcow2_reftable_entries(const struct qcow2 *q)
{
	return offset_of(&q->geometry, q->header.reftable_clusters) / 8;
}

/* ---- region.c ---- */

/* Move the refcount table to where it has room, and make the block for @host_cluster. */
int qcow2_grow_reftable(struct qcow2 *q, uint64_t host_cluster);

/*
 * Allocate @count clusters in one piece, however many that is, behind all that has refcounts so
 * far. For tables of many clusters: elsewhere refcount blocks would lie between them.
 */
int qcow2_allocate_region(struct qcow2 *q, uint64_t count, struct run *ret);

/* ---- alloc.c ---- */

/*
 * Find free clusters that lie one behind the other, at least one and at most @most, and set their
 * refcounts to one. *ret_fresh: they read as zeroes.
 */
int qcow2_allocate(struct qcow2 *q, uint64_t most, struct run *ret, bool *ret_fresh);

/* Take back clusters that nothing ever pointed to, now or with a later flush. */
void qcow2_take_back(struct qcow2 *q, struct run run);

/*
 * Something points to these clusters. -EUCLEAN where their refcounts do not say so, less what the
 * quarantine has yet to take away: then one is handed out while it is in use, or while it is in the
 * quarantine, which would destroy it. Ask before writing there, and before unlinking.
 */
int qcow2_check_counted(struct qcow2 *q, struct run run);

/* The same of what an L2 entry points to, or that many behind it which say the same. */
int qcow2_check_entry(struct qcow2 *q, const struct l2_entry *entry, uint64_t clusters);

/*
 * What pointed to a run of clusters, and was counted, does not any more: lower their refcounts when
 * that is durable (I2).
 */
void qcow2_unlink(struct qcow2 *q, struct run run);

/*
 * Unlink what the L2 entry of the cluster at @guest_offset points to, which is about to change.
 * After an error nothing has happened. Not for data files, which have no refcounts.
 */
int qcow2_unlink_entry(struct qcow2 *q, struct l2_raw raw, uint64_t guest_offset);

/* ---- quarantine.c ---- */

/* Append a run. -ENOMEM: nothing has happened. */
int quarantine_add(struct quarantine *quarantine, struct run run);

/* Append all of @from, which is empty then. What memory lacks for is leaked. */
void quarantine_move(struct quarantine *quarantine, struct quarantine *from);

void quarantine_finish(struct quarantine *quarantine);

/* Is it time to flush before more is unlinked? */
bool quarantine_is_long(const struct quarantine *quarantine);

/*
 * Lower the refcounts of what waits, if no request can use it any more, and give the host space of
 * what is free then back (I5). Takes meta; needs flushing held.
 */
int qcow2_recycle(struct qcow2 *q);

/* ---- overlap.c ---- */

/*
 * -EUCLEAN where a host range has a byte of the header, the L1 table, the refcount table, the
 * snapshot table, or of a table in q->tables: then the image contradicts itself, and writing there
 * would destroy it.
 */
int qcow2_check_overlap(const struct qcow2 *q, uint64_t host_offset, uint64_t length);

/*
 * Fill q->tables, before anything has changed. -EUCLEAN where two entries lead to one table, or one
 * to where the header or another such table is: what is written through the one would show through
 * the other.
 */
int qcow2_collect_tables(struct qcow2 *q);

/* ---- bitmaps.c ---- */

/* Put the names of the persistent bitmaps, quoted, into @text. */
void qcow2_name_bitmaps(struct qcow2 *q, char *text, size_t capacity);

/* ---- corruption.c ---- */

/*
 * Say what is wrong with which table, mark the image, and let nobody write any more; only the first
 * time. Returns -EUCLEAN. For a contradiction in the tables, not for compressed data that is
 * damaged.
 */
int qcow2_corrupt(struct qcow2 *q, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum qcow2_which_file { QCOW2_IMAGE_FILE, QCOW2_DATA_FILE };

/*
 * The clusters from @guest_offset on need so many clusters of a file, which must begin before it
 * ends. Where they do not, it was cut short. What is missing reads as zeroes, as with QEMU; this
 * says so once.
 */
void qcow2_check_end(struct qcow2 *q, enum qcow2_which_file which, uint64_t host_offset,
		     uint64_t clusters, uint64_t guest_offset);

/* ---- flush.c ---- */

/* Bring tables to the host file in an order that a crash survives. Both take flushing and meta. */
int qcow2_writeback(struct imgfmt_image *image);
int qcow2_flush(struct imgfmt_image *image);

/* Flush if the cache or the quarantine has become too full. Call without locks, before a change. */
int qcow2_relieve(struct qcow2 *q);

/* ---- header_update.c ---- */

/*
 * Before the first change: find the tables that guest data must not go over, and clear the
 * autoclear bits of features that we do not maintain, so that nobody takes them for valid. Blocks
 * for a sync, once.
 */
int qcow2_start_writing(struct qcow2 *q);

/* Write fields of the header and make them durable. @offset and @count name bytes of it. */
int qcow2_write_header(struct qcow2 *q, const uint8_t *bytes, size_t count, uint64_t offset);

/* ---- write.c, zero.c, encoded.c, resize.c: see driver.h ---- */

int qcow2_write_begin(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		      struct driver_write *ret);
int qcow2_write_end(struct imgfmt_image *image, struct driver_write *write, int result);

/*
 * Wait until no allocation in flight has the cluster of @guest_offset (I4), which may drop meta for
 * a while. Returns how many subclusters from there on, at most @count, none has.
 */
uint64_t qcow2_wait_for_allocations(struct qcow2 *q, uint64_t guest_offset, uint64_t count);

/* The same for allocations and writes in place: for who is about to zero. */
uint64_t qcow2_wait_for_writes(struct qcow2 *q, uint64_t guest_offset, uint64_t count);

int qcow2_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
	       enum imgfmt_zero_mode mode, uint64_t *ret_length);

/*
 * Forget guest clusters altogether: their entries become 0, whatever a backing image holds there.
 * For what will lie beyond the end of the disk; no request is under way. Takes meta.
 */
int qcow2_drop_clusters(struct qcow2 *q, struct run guest_clusters);

/* Compressed clusters, and in an encrypted image all that hold data. */
int qcow2_read_encoded(struct imgfmt_image *image, void *buffer, size_t count,
		       uint64_t guest_offset);

int qcow2_truncate(struct imgfmt_image *image, uint64_t size);

/* ---- snapshot.c ---- */

/*
 * Check that the snapshot table can be what it says, and find its length. Only that it can be read;
 * the snapshots themselves are not looked at.
 */
int qcow2_check_snapshots(struct qcow2 *q, struct imgfmt_error *reterr);

/* Show the snapshot with an id or name in place of the active state. While opening, read-only. */
int qcow2_select_snapshot(struct qcow2 *q, const char *wanted, struct imgfmt_error *reterr);

int qcow2_get_snapshot(struct imgfmt_image *image, unsigned int index,
		       struct imgfmt_snapshot *ret); /* takes meta */

/* Where the L1 table of a snapshot lies, and its size in bytes. Neither is checked. */
int qcow2_get_snapshot_l1(struct qcow2 *q, uint32_t index, uint64_t *ret_offset,
			  uint64_t *ret_size);
