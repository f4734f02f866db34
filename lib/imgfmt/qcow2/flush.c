/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bringing changed tables to the disk, in stages:
 *
 * 	data, new tables, refcount blocks	sync	I1, I3
 * 	the refcount table			sync
 * 	L1 and L2 tables			sync
 * 	decrements, recycling				I2, I5
 * 	the size in the header			sync
 *
 * What the later stages write is frozen before the first sync, so that none of them can point to
 * something newer that the sync has missed. Requests go on meanwhile. A sync with nothing to
 * separate is left out.
 *
 * A writeback ends before the last sync: what it wrote survives the death of the process, and since
 * it kept the order, a power cut at any time finds an image without errors.
 */
#include "qcow2.h"

#include "bytes.h"
#include "lock.h"

/*
 * Take what is to become durable: the state of the tables, and what they do not point to any more.
 */
static int begin_stages(struct qcow2 *q, struct quarantine *ret_unlinked, bool *ret_changed)
{
	LOCKED(&q->meta);
	int r;

	cache_freeze(&q->cache, STAGE_REFCOUNTS);
	r = cache_write_frozen(&q->cache, STAGE_REFCOUNTS);
	if (r < 0)
		return r;
	cache_freeze(&q->cache, STAGE_REFTABLE);
	cache_freeze(&q->cache, STAGE_MAP);
	*ret_changed =
		cache_is_dirty(&q->cache, STAGE_REFTABLE) || cache_is_dirty(&q->cache, STAGE_MAP);
	quarantine_move(ret_unlinked, &q->unlinked);
	return 0;
}

static int write_stage(struct qcow2 *q, enum cache_stage stage, bool *ret_written)
{
	LOCKED(&q->meta);

	*ret_written = cache_is_dirty(&q->cache, stage);
	return cache_write_frozen(&q->cache, stage);
}

/* Guest data, new tables and refcounts: all that must be there before something points to it. */
static int sync_data(struct qcow2 *q)
{
	int r = 0;

	if (q->image->data_file)
		r = hostfile_sync(q->image->data_file);
	return r < 0 ? r : hostfile_sync(q->file);
}

static int write_tables(struct qcow2 *q, bool *ret_written)
{
	bool written;
	int r;

	r = sync_data(q);
	if (r < 0)
		return r;
	r = write_stage(q, STAGE_REFTABLE, &written);
	if (r == 0 && written)
		r = hostfile_sync(q->file);
	if (r < 0)
		return r;
	return write_stage(q, STAGE_MAP, ret_written);
}

/* It did not work: everything is as if it had not been tried. */
static void give_up(struct qcow2 *q, struct quarantine *unlinked)
{
	LOCKED(&q->meta);

	cache_thaw(&q->cache, STAGE_REFTABLE);
	cache_thaw(&q->cache, STAGE_MAP);
	quarantine_move(&q->unlinked, unlinked);
}

/*
 * The unlinking is durable: from now on only requests under way can still use what it freed. What
 * waits already keeps its epoch, or a steady load with many flushes would put recycling off for
 * ever.
 */
static void begin_waiting(struct qcow2 *q, struct quarantine *unlinked)
{
	struct waiting *waiting = &q->waiting;

	quarantine_move(&waiting->next, unlinked);
	if (waiting->freed.count > 0)
		return;
	quarantine_move(&waiting->freed, &waiting->next);
	waiting->epoch = grace_now(&q->image->grace);
}

/* What waited before goes first, so that the new can begin to wait, and perhaps end at once. */
static int recycle_both(struct qcow2 *q, struct quarantine *unlinked)
{
	int r = qcow2_recycle(q), r2;

	begin_waiting(q, unlinked);
	r2 = qcow2_recycle(q);
	return r < 0 ? r : r2;
}

static int write_size(struct qcow2 *q)
{
	uint8_t field[8];
	int r;

	put_be64(field, q->image->size);
	r = qcow2_write_header(q, field, sizeof(field), QCOW2_AT_SIZE);
	if (r == 0)
		q->size_pending = false;
	return r;
}

static int write_refcounts(struct qcow2 *q)
{
	LOCKED(&q->meta);

	cache_freeze(&q->cache, STAGE_REFCOUNTS);
	return cache_write_frozen(&q->cache, STAGE_REFCOUNTS);
}

/* Write the tables in order. With @durable also the last sync, and what may only follow it. */
static int run_stages(struct qcow2 *q, bool durable)
{
	struct quarantine unlinked = { 0 };
	bool changed, written = true;
	int r;

	r = begin_stages(q, &unlinked, &changed);
	if (r == 0 && (changed || durable))
		r = write_tables(q, &written);
	if (r == 0 && durable && written)
		r = hostfile_sync(q->file);
	if (r < 0 || !durable) {
		give_up(q, &unlinked);
		quarantine_finish(&unlinked);
		return r;
	}
	r = recycle_both(q, &unlinked);
	quarantine_finish(&unlinked);
	return r < 0 ? r : write_refcounts(q);
}

int qcow2_writeback(struct imgfmt_image *image)
{
	struct qcow2 *q = qcow2_of(image);
	LOCKED(&q->flushing);

	return run_stages(q, false);
}

int qcow2_flush(struct imgfmt_image *image)
{
	struct qcow2 *q = qcow2_of(image);
	LOCKED(&q->flushing);
	int r = run_stages(q, true);

	/* Not in the stages: while the disk grows, they may run before its new part is ready. */
	return r == 0 && q->size_pending ? write_size(q) : r;
}

static bool needs_relief(struct qcow2 *q)
{
	LOCKED(&q->meta);

	return cache_wants_cleaning(&q->cache) || quarantine_is_long(&q->unlinked);
}

int qcow2_relieve(struct qcow2 *q)
{
	if (!needs_relief(q))
		return 0;
	LOCKED(&q->flushing);
	/* Who waited may find that somebody else has done it. */
	return needs_relief(q) ? run_stages(q, true) : 0;
}
