/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: entries of tables, in any geometry.
 *
 * What must hold: what an entry is accepted for, it can be used for; what is made from it says what
 * it was made for of the subclusters that were meant, and of the others what it said before; and
 * refcounts are what was stored, and their neighbours what they were.
 */
#include "fuzz.h"

#include "qcow2/entry.h"

#include "bytes.h"

#include <errno.h>

struct numbers {
	struct qcow2_geometry geometry;
	struct l2_raw raw;
	uint64_t guest_offset;
	uint64_t other;            /* whatever else needs one */
	unsigned int first, count; /* subclusters */
};

static void take_geometry(struct input *input, struct qcow2_geometry *ret)
{
	uint64_t features = input_number(input, 1);
	struct qcow2_header header = {
		.version = features & 1 ? 2 : 3,
		.refcount_order = (uint32_t)(input_number(input, 1) % 7),
		.cluster_bits = (uint32_t)(9 + input_number(input, 1) % 13),
	};

	if (header.version == 3 && (features & 2) && header.cluster_bits >= 14)
		header.incompatible |= QCOW2_INCOMPATIBLE_EXTENDED_L2;
	if (header.version == 3 && (features & 4))
		header.incompatible |= QCOW2_INCOMPATIBLE_DATA_FILE;
	if (header.version == 2)
		header.refcount_order = 4;
	geometry_init(ret, &header);
}

static void take_numbers(struct input *input, struct numbers *ret)
{
	take_geometry(input, &ret->geometry);
	ret->raw.descriptor = input_number(input, 8);
	ret->raw.bitmap = input_number(input, 8);
	if (ret->geometry.subclusters == 1)
		ret->raw.bitmap = 0;
	ret->guest_offset = input_number(input, 8) & INT64_MAX;
	ret->other = input_number(input, 8);
	ret->first = (unsigned int)input_number(input, 1) % ret->geometry.subclusters;
	ret->count =
		1 + (unsigned int)input_number(input, 1) % (ret->geometry.subclusters - ret->first);
}

/* ---- tables ---- */

static void check_l1(const struct numbers *n)
{
	struct l1_entry entry;
	uint64_t block;
	int r;

	r = l1_entry_parse(&n->geometry, n->other, &entry);
	MUST(r == 0 || r == -EUCLEAN);
	if (r == 0) {
		MUST(into_cluster(&n->geometry, entry.l2_offset) == 0);
		MUST(entry.l2_offset <= QCOW2_MAX_HOST_OFFSET);
	}
	r = reftable_entry_parse(&n->geometry, n->other, &block);
	MUST(r == 0 || r == -EUCLEAN);
	if (r == 0) {
		MUST(into_cluster(&n->geometry, block) == 0 && block <= QCOW2_MAX_HOST_OFFSET);
		MUST(reftable_entry_parse(&n->geometry, block, &block) == 0);
	}
}

static void check_geometry(const struct numbers *n)
{
	const struct qcow2_geometry *geometry = &n->geometry;
	uint64_t at = n->guest_offset;

	MUST(offset_of(geometry, cluster_of(geometry, at)) + into_cluster(geometry, at) == at);
	MUST((l1_index(geometry, at) << l1_entry_bits(geometry)) +
		     offset_of(geometry, l2_index(geometry, at)) + into_cluster(geometry, at) ==
	     at);
	MUST(subcluster_index(geometry, at) < geometry->subclusters);
	MUST(l1_index(geometry, at) < l1_entries_for(geometry, at + 1));
	MUST(l1_index(geometry, at + to_l1_entry_end(geometry, at)) == l1_index(geometry, at) + 1);
}

/* ---- L2 entries ---- */

static void check_load_and_store(const struct numbers *n)
{
	uint8_t slice[48];
	size_t entry = (size_t)1 << n->geometry.entry_bits;
	struct l2_raw loaded;

	memset(slice, 0xa5, sizeof(slice));
	l2_store(&n->geometry, slice, 1, n->raw);
	loaded = l2_load(&n->geometry, slice, 1);
	MUST(loaded.descriptor == n->raw.descriptor && loaded.bitmap == n->raw.bitmap);
	for (size_t i = 0; i < sizeof(slice); i++)
		MUST((i >= entry && i < 2 * entry) || slice[i] == 0xa5);
}

static void check_parsed(const struct numbers *n, const struct l2_entry *entry)
{
	if (entry->kind == SUBCLUSTER_COMPRESSED) {
		MUST(!entry->has_host && !entry->copied && !n->geometry.external_data);
		MUST(entry->compressed_length >= 1);
		MUST(entry->compressed_length <= 2 * n->geometry.cluster_size);
		MUST(entry->host_offset <= QCOW2_MAX_HOST_OFFSET);
		return;
	}
	MUST(into_cluster(&n->geometry, entry->host_offset) == 0);
	MUST(entry->has_host || (entry->kind != SUBCLUSTER_NORMAL && !entry->copied));
	MUST(entry->kind != SUBCLUSTER_ZERO || n->geometry.zero_flags);
	if (n->geometry.external_data && entry->has_host)
		MUST(entry->host_offset == align_down(n->guest_offset, n->geometry.cluster_size));
}

/* Is a subcluster one of those that are changed? */
static bool is_meant(const struct numbers *n, unsigned int subcluster)
{
	return subcluster >= n->first && subcluster - n->first < n->count;
}

/* Does @made say of a subcluster the same as the entry it was made from? */
static void check_unmeant(const struct numbers *n, const struct l2_entry *made,
			  unsigned int subcluster)
{
	struct l2_entry old;

	if (l2_parse(&n->geometry, n->raw, n->guest_offset, subcluster, &old) == 0)
		MUST(made->kind == old.kind);
}

static void check_with_zeroes(const struct numbers *n)
{
	struct l2_raw raw = l2_with_zeroes(&n->geometry, n->raw, n->first, n->count);

	for (unsigned int i = 0; i < n->geometry.subclusters; i++) {
		struct l2_entry entry, old;

		if (l2_parse(&n->geometry, raw, n->guest_offset, i, &entry) < 0) {
			/* Then something else was wrong before. */
			MUST(!is_meant(n, i) || !n->geometry.zero_flags ||
			     l2_parse(&n->geometry, n->raw, n->guest_offset, i, &old) < 0);
			continue;
		}
		MUST(entry.host_offset == (n->raw.descriptor & QCOW2_OFFSET_MASK));
		if (is_meant(n, i))
			MUST(entry.kind == SUBCLUSTER_ZERO);
		else
			check_unmeant(n, &entry, i);
	}
}

static void check_with_data(const struct numbers *n)
{
	uint64_t host_offset = n->other & QCOW2_OFFSET_MASK & ~(n->geometry.cluster_size - 1);
	struct l2_raw raw;

	if (n->geometry.external_data)
		host_offset =
			align_down(n->guest_offset, n->geometry.cluster_size) & QCOW2_OFFSET_MASK;
	else if (host_offset == 0)
		return;
	raw = l2_with_data(&n->geometry, n->raw, host_offset, n->first, n->count);
	for (unsigned int i = 0; i < n->geometry.subclusters; i++) {
		uint64_t guest_offset = n->geometry.external_data ? host_offset : n->guest_offset;
		struct l2_entry entry;

		if (l2_parse(&n->geometry, raw, guest_offset, i, &entry) < 0) {
			/* Its bits contradict one another, and did so before. */
			MUST(!is_meant(n, i) && ((n->raw.bitmap >> i) & 1) &&
			     ((n->raw.bitmap >> (i + 32)) & 1));
			continue;
		}
		MUST(entry.has_host && entry.copied && entry.host_offset == host_offset);
		if (is_meant(n, i))
			MUST(entry.kind == SUBCLUSTER_NORMAL);
		else if (!(n->raw.descriptor & QCOW2_FLAG_COMPRESSED))
			check_unmeant(n, &entry, i);
	}
}

static void check_l2(const struct numbers *n)
{
	struct l2_entry entry;
	bool compressed = (n->raw.descriptor & QCOW2_FLAG_COMPRESSED) != 0;

	check_load_and_store(n);
	for (unsigned int i = 0; i < n->geometry.subclusters; i++) {
		int r = l2_parse(&n->geometry, n->raw, n->guest_offset, i, &entry);

		MUST(r == 0 || r == -EUCLEAN);
		if (r == 0)
			check_parsed(n, &entry);
	}
	check_with_data(n);
	if (!compressed)
		check_with_zeroes(n);
	if (!n->geometry.zero_flags)
		return;
	MUST(l2_parse(&n->geometry, l2_zero_plain(&n->geometry), n->guest_offset, n->first,
		      &entry) == 0);
	MUST(entry.kind == SUBCLUSTER_ZERO && !entry.has_host);
}

/* ---- refcounts ---- */

static void check_refcounts(const struct numbers *n, struct input *input)
{
	unsigned int order = n->geometry.refcount_order;
	uint8_t block[64], before[64];
	size_t count, entries = sizeof(block) * 8 >> order,
		      index = (size_t)input_number(input, 2) % entries;
	uint64_t value = n->other & refcount_max(&n->geometry);
	const uint8_t *bytes = input_take(input, sizeof(block), &count);

	memset(block, 0, sizeof(block));
	memcpy(block, bytes, count);
	memcpy(before, block, sizeof(block));
	refcount_store(block, index, order, value);
	MUST(refcount_load(block, index, order) == value);
	for (size_t i = 0; i < entries; i++) {
		MUST(refcount_load(before, i, order) <= refcount_max(&n->geometry));
		MUST(i == index ||
		     refcount_load(block, i, order) == refcount_load(before, i, order));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct numbers numbers;

	while (input.count > 0) {
		take_numbers(&input, &numbers);
		check_geometry(&numbers);
		check_l1(&numbers);
		check_l2(&numbers);
		check_refcounts(&numbers, &input);
	}
	return 0;
}
