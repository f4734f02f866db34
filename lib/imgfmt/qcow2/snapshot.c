/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of internal snapshots: entries of variable length, one behind the other. Each has an L1
 * table of its own, and with that a whole state of the disk.
 */
#include "qcow2.h"

#include "bytes.h"
#include "lock.h"
#include "overflow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The fixed part of an entry, and offsets in it. */
#define ENTRY_SIZE 40

enum {
	AT_L1_OFFSET = 0,
	AT_L1_SIZE = 8,
	AT_ID_LENGTH = 12,
	AT_NAME_LENGTH = 14,
	AT_SECONDS = 16,
	AT_VM_STATE_SIZE = 32,
	AT_EXTRA_LENGTH = 36,
	/* in the extra data */
	AT_VM_STATE_SIZE_64 = 0,
	AT_DISK_SIZE = 8,
	EXTRA_LENGTH_USED = 16,
};

/* An entry, and where it and its parts lie in the file. */
struct entry {
	uint8_t fixed[ENTRY_SIZE];
	uint8_t extra[EXTRA_LENGTH_USED]; /* zeroes where there is less */
	uint32_t extra_length;
	uint64_t id_offset;
	uint16_t id_length, name_length;
	uint64_t end;
};

static int read_entry(struct qcow2 *q, uint64_t offset, struct entry *ret)
{
	struct entry entry = { 0 };
	int r;

	r = hostfile_read(q->file, entry.fixed, sizeof(entry.fixed), offset);
	if (r < 0)
		return r;
	entry.extra_length = get_be32(entry.fixed + AT_EXTRA_LENGTH);
	entry.id_length = get_be16(entry.fixed + AT_ID_LENGTH);
	entry.name_length = get_be16(entry.fixed + AT_NAME_LENGTH);
	if (entry.extra_length > QCOW2_MAX_SNAPSHOT_EXTRA)
		return -EUCLEAN;
	r = hostfile_read(q->file, entry.extra,
			  (size_t)min_u64(entry.extra_length, sizeof(entry.extra)),
			  offset + sizeof(entry.fixed));
	if (r < 0)
		return r;
	entry.id_offset = offset + sizeof(entry.fixed) + entry.extra_length;
	entry.end = align_up(entry.id_offset + entry.id_length + entry.name_length, 8);
	*ret = entry;
	return 0;
}

/* Read a string of the table, cut to what fits. */
static int read_string(struct qcow2 *q, char *string, size_t capacity, uint64_t offset,
		       size_t length)
{
	size_t count = length < capacity ? length : capacity - 1;
	int r;

	r = hostfile_read(q->file, string, count, offset);
	if (r == 0)
		string[count] = '\0';
	return r;
}

static int describe_entry(struct qcow2 *q, const struct entry *entry, struct imgfmt_snapshot *ret)
{
	int r;

	/* Older entries do not say the size: then it is what it is now. */
	ret->size = q->header.size;
	ret->vm_state_size = get_be32(entry->fixed + AT_VM_STATE_SIZE);
	if (entry->extra_length >= 8)
		ret->vm_state_size = get_be64(entry->extra + AT_VM_STATE_SIZE_64);
	if (entry->extra_length >= 16)
		ret->size = get_be64(entry->extra + AT_DISK_SIZE);
	ret->seconds = get_be32(entry->fixed + AT_SECONDS);
	r = read_string(q, ret->id, sizeof(ret->id), entry->id_offset, entry->id_length);
	if (r < 0)
		return r;
	return read_string(q, ret->name, sizeof(ret->name), entry->id_offset + entry->id_length,
			   entry->name_length);
}

/* Find the entry with a number, going on from the one that was found last. */
static int find_entry(struct qcow2 *q, uint32_t index, struct entry *ret)
{
	struct snapshot_cursor *cursor = &q->snapshot_cursor;
	struct entry entry;
	int r;

	if (index >= q->header.snapshot_count)
		return -ENOENT;
	if (cursor->offset == 0 || index < cursor->index)
		*cursor = (struct snapshot_cursor){ 0, q->header.snapshots_offset };
	for (;;) {
		r = read_entry(q, cursor->offset, &entry);
		if (r < 0)
			return r;
		if (cursor->index == index)
			break;
		*cursor = (struct snapshot_cursor){ cursor->index + 1, entry.end };
	}
	*ret = entry;
	return 0;
}

int qcow2_get_snapshot(struct imgfmt_image *image, unsigned int index, struct imgfmt_snapshot *ret)
{
	struct qcow2 *q = qcow2_of(image);
	LOCKED(&q->meta);
	struct entry entry;
	int r;

	r = find_entry(q, index, &entry);
	return r < 0 ? r : describe_entry(q, &entry, ret);
}

int qcow2_get_snapshot_l1(struct qcow2 *q, uint32_t index, uint64_t *ret_offset, uint64_t *ret_size)
{
	struct entry entry;
	int r;

	r = find_entry(q, index, &entry);
	if (r < 0)
		return r;
	*ret_offset = get_be64(entry.fixed + AT_L1_OFFSET);
	*ret_size = (uint64_t)get_be32(entry.fixed + AT_L1_SIZE) * 8;
	return 0;
}

int qcow2_check_snapshots(struct qcow2 *q, struct imgfmt_error *reterr)
{
	uint64_t offset = q->header.snapshots_offset;

	for (uint32_t i = 0; i < q->header.snapshot_count; i++) {
		struct entry entry;
		int r = read_entry(q, offset, &entry);

		if (r == -EUCLEAN)
			return imgfmt_error_set(reterr, -EINVAL,
						"snapshot %" PRIu32
						" has more than %u bytes of extra data",
						i, QCOW2_MAX_SNAPSHOT_EXTRA);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "cannot read the snapshot table: %s",
						strerror(-r));
		offset = entry.end;
		if (offset - q->header.snapshots_offset > QCOW2_MAX_SNAPSHOT_BYTES)
			return imgfmt_error_set(reterr, -EINVAL,
						"the snapshot table is larger than %u MiB",
						(unsigned int)(QCOW2_MAX_SNAPSHOT_BYTES >> 20));
	}
	q->snapshots_length = offset - q->header.snapshots_offset;
	return 0;
}

/* ---- showing one ---- */

/* Say which snapshots there are, as far as there is room. Without any, @text is left alone. */
static void name_snapshots(struct qcow2 *q, char *text, size_t capacity)
{
	static const char more[] = ", ... (--info lists all)";
	size_t room = capacity - sizeof(more), used = 0;

	for (uint32_t i = 0; i < q->header.snapshot_count; i++) {
		struct imgfmt_snapshot snapshot;
		struct entry entry;
		int n;

		if (find_entry(q, i, &entry) < 0 || describe_entry(q, &entry, &snapshot) < 0)
			return;
		n = snprintf(text + used, room - used, "%s%s (%s)", i > 0 ? ", " : "", snapshot.id,
			     snapshot.name);
		if (n < 0 || (size_t)n >= room - used) {
			strcpy(text + used, i > 0 ? more : more + strlen(", "));
			return;
		}
		used += (size_t)n;
	}
}

/* Find a snapshot by id, or, where no id is like that, by name, as qemu-img does. */
static int search(struct qcow2 *q, const char *wanted, struct entry *ret,
		  struct imgfmt_snapshot *ret_snapshot)
{
	uint64_t offset = q->header.snapshots_offset;
	bool found = false;

	for (uint32_t i = 0; i < q->header.snapshot_count; i++) {
		struct imgfmt_snapshot snapshot;
		struct entry entry;
		int r = read_entry(q, offset, &entry);

		if (r == 0)
			r = describe_entry(q, &entry, &snapshot);
		if (r < 0)
			return r;
		offset = entry.end;
		if (strcmp(snapshot.id, wanted) == 0 ||
		    (!found && strcmp(snapshot.name, wanted) == 0)) {
			found = true;
			*ret = entry;
			*ret_snapshot = snapshot;
		}
		if (strcmp(snapshot.id, wanted) == 0)
			break;
	}
	return found ? 0 : -ENOENT;
}

static int check_l1(struct qcow2 *q, const char *wanted, uint64_t l1_offset, uint64_t l1_size,
		    uint64_t size, struct imgfmt_error *reterr)
{
	if (l1_size * 8 > QCOW2_MAX_L1_BYTES)
		return imgfmt_error_set(reterr, -EUCLEAN,
					"the L1 table of snapshot '%s' has %" PRIu64
					" entries, too many",
					wanted, l1_size);
	if (into_cluster(&q->geometry, l1_offset) != 0 || l1_offset > QCOW2_MAX_HOST_OFFSET)
		return imgfmt_error_set(reterr, -EUCLEAN,
					"the L1 table offset 0x%" PRIx64
					" of snapshot '%s' is not a multiple of the cluster size",
					l1_offset, wanted);
	if (size > INT64_MAX || l1_entries_for(&q->geometry, size) > l1_size)
		return imgfmt_error_set(
			reterr, -EUCLEAN,
			"the L1 table of snapshot '%s' is too small for its disk of %" PRIu64
			" bytes",
			wanted, size);
	return 0;
}

/* A snapshot only differs from the active state in its L1 table and its size. */
int qcow2_select_snapshot(struct qcow2 *q, const char *wanted, struct imgfmt_error *reterr)
{
	struct imgfmt_snapshot snapshot = { 0 };
	struct entry entry = { 0 };
	uint64_t l1_offset, l1_size;
	char names[200] = "none";
	int r;

	r = search(q, wanted, &entry, &snapshot);
	if (r == -ENOENT) {
		name_snapshots(q, names, sizeof(names));
		return imgfmt_error_set(reterr, r,
					"it has no internal snapshot '%.100s'; it has: %s", wanted,
					names);
	}
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read the snapshot table: %s",
					strerror(-r));
	l1_offset = get_be64(entry.fixed + AT_L1_OFFSET);
	l1_size = get_be32(entry.fixed + AT_L1_SIZE);
	r = check_l1(q, wanted, l1_offset, l1_size, snapshot.size, reterr);
	if (r < 0)
		return r;
	q->header.l1_offset = l1_offset;
	q->header.l1_size = (uint32_t)l1_size;
	q->header.size = snapshot.size;
	return 0;
}
