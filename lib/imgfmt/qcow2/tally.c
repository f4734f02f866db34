/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counting clusters, see tally.h. A part is two arrays: to look a cluster up is a binary search in
 * each, and what is added in rising order goes to the end.
 */
#include "tally.h"

#include "align.h"
#include "array.h"

#include <assert.h>
#include <string.h>

/* How many points lie at @cluster or before. */
static size_t rank(const struct points *points, uint64_t cluster)
{
	size_t low = 0, high = points->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (points->at[middle] <= cluster)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Add a point, unless there is an opposite one to take away. */
static void change(struct points *points, struct points *opposite, uint64_t cluster)
{
	size_t n = rank(opposite, cluster);

	if (n > 0 && opposite->at[n - 1] == cluster) {
		memmove(opposite->at + n - 1, opposite->at + n,
			(opposite->count - n) * sizeof(*opposite->at));
		opposite->count--;
		return;
	}
	assert(points->count < points->capacity);
	n = rank(points, cluster);
	memmove(points->at + n + 1, points->at + n, (points->count - n) * sizeof(*points->at));
	points->at[n] = cluster;
	points->count++;
}

static int reserve(struct points *points, uint64_t more)
{
	int r = 0;

	while (r == 0 && points->capacity - points->count < more)
		r = array_reserve_one(&points->at, points->capacity, &points->capacity,
				      sizeof(*points->at));
	return r;
}

/* ---- parts ---- */

static size_t part_of(uint64_t cluster)
{
	return (cluster >> TALLY_GROUP_BITS) % TALLY_PARTS;
}

static uint64_t left_in_group(uint64_t cluster)
{
	uint64_t size = UINT64_C(1) << TALLY_GROUP_BITS;

	return size - (cluster & (size - 1));
}

/* Take what lies in one group from the start of a run. */
static struct run take_piece(struct run *run)
{
	struct run piece = { run->first, min_u64(run->count, left_in_group(run->first)) };

	run->first += piece.count;
	run->count -= piece.count;
	return piece;
}

int tally_reserve(struct tally *tally, struct run run)
{
	/* No part has more pieces of it. */
	uint64_t more = ((run.count >> TALLY_GROUP_BITS) + 2) / TALLY_PARTS + 1;
	int r = 0;

	for (unsigned int i = 0; i < TALLY_PARTS && run.count > 0 && r == 0; i++) {
		struct tally_part *part = &tally->parts[part_of(take_piece(&run).first)];

		r = reserve(&part->rises, more);
		if (r == 0)
			r = reserve(&part->falls, more);
	}
	return r;
}

void tally_add(struct tally *tally, struct run run)
{
	while (run.count > 0) {
		struct run piece = take_piece(&run);
		struct tally_part *part = &tally->parts[part_of(piece.first)];

		change(&part->rises, &part->falls, piece.first);
		change(&part->falls, &part->rises, piece.first + piece.count);
	}
}

void tally_remove(struct tally *tally, struct run run)
{
	while (run.count > 0) {
		struct run piece = take_piece(&run);
		struct tally_part *part = &tally->parts[part_of(piece.first)];

		change(&part->falls, &part->rises, piece.first);
		change(&part->rises, &part->falls, piece.first + piece.count);
	}
}

uint64_t tally_count(const struct tally *tally, uint64_t cluster, uint64_t *ret_alike)
{
	const struct tally_part *part = &tally->parts[part_of(cluster)];
	size_t rises = rank(&part->rises, cluster), falls = rank(&part->falls, cluster);

	*ret_alike = left_in_group(cluster);
	if (rises < part->rises.count)
		*ret_alike = min_u64(*ret_alike, part->rises.at[rises] - cluster);
	if (falls < part->falls.count)
		*ret_alike = min_u64(*ret_alike, part->falls.at[falls] - cluster);
	return rises - falls;
}

void tally_finish(struct tally *tally)
{
	for (unsigned int i = 0; i < TALLY_PARTS; i++) {
		free(tally->parts[i].rises.at);
		free(tally->parts[i].falls.at);
	}
	*tally = (struct tally){ 0 };
}
