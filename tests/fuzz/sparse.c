/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sparse bytes in memory; see sparse.h. Slots are searched one behind the other. */
#include "sparse.h"

#include "align.h"
#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sparse_page {
	uint64_t number;
	bool hole; /* it was cleared, and is all zero; its memory stays for the next time */
	uint8_t bytes[SPARSE_PAGE];
};

static size_t first_slot(const struct sparse *sparse, uint64_t number)
{
	return (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (sparse->slot_count - 1);
}

/* The slot of a page, or the empty one where it would be. There are slots, and one is empty. */
static size_t find_slot(const struct sparse *sparse, uint64_t number)
{
	size_t slot = first_slot(sparse, number);

	while (sparse->slots[slot] && sparse->slots[slot]->number != number)
		slot = (slot + 1) & (sparse->slot_count - 1);
	return slot;
}

static struct sparse_page *find_page(const struct sparse *sparse, uint64_t number)
{
	return sparse->slot_count > 0 ? sparse->slots[find_slot(sparse, number)] : NULL;
}

static int grow(struct sparse *sparse)
{
	struct sparse grown = {
		.slot_count = sparse->slot_count > 0 ? 2 * sparse->slot_count : 32,
		.page_count = sparse->page_count,
	};

	grown.slots = calloc(grown.slot_count, sizeof(struct sparse_page *));
	if (!grown.slots)
		return -ENOMEM;
	for (size_t i = 0; i < sparse->slot_count; i++)
		if (sparse->slots[i])
			grown.slots[find_slot(&grown, sparse->slots[i]->number)] = sparse->slots[i];
	free(sparse->slots);
	*sparse = grown;
	return 0;
}

static int add_page(struct sparse *sparse, uint64_t number, size_t limit, struct sparse_page **ret)
{
	struct sparse_page *page;

	if (sparse->page_count >= limit)
		return -ENOSPC;
	if (2 * sparse->page_count >= sparse->slot_count && grow(sparse) < 0)
		return -ENOMEM;
	page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	page->number = number;
	sparse->slots[find_slot(sparse, number)] = page;
	sparse->page_count++;
	*ret = page;
	return 0;
}

int sparse_put(struct sparse *sparse, const void *bytes, size_t count, uint64_t offset,
	       size_t limit)
{
	const uint8_t *from = bytes;

	while (count > 0) {
		size_t into = (size_t)(offset % SPARSE_PAGE);
		size_t length = (size_t)min_u64(count, SPARSE_PAGE - into);
		struct sparse_page *page = find_page(sparse, offset / SPARSE_PAGE);

		if (!page && !all_zero(from, length)) {
			int r = add_page(sparse, offset / SPARSE_PAGE, limit, &page);

			if (r < 0)
				return r;
		}
		if (page) {
			memcpy(page->bytes + into, from, length);
			page->hole = page->hole && all_zero(from, length);
		}
		from += length;
		offset += length;
		count -= length;
	}
	return 0;
}

void sparse_get(const struct sparse *sparse, void *bytes, size_t count, uint64_t offset)
{
	uint8_t *to = bytes;

	while (count > 0) {
		size_t into = (size_t)(offset % SPARSE_PAGE);
		size_t length = (size_t)min_u64(count, SPARSE_PAGE - into);
		const struct sparse_page *page = find_page(sparse, offset / SPARSE_PAGE);

		if (page)
			memcpy(to, page->bytes + into, length);
		else
			memset(to, 0, length);
		to += length;
		offset += length;
		count -= length;
	}
}

static void clear_page(struct sparse_page *page, uint64_t offset, uint64_t end)
{
	uint64_t start = page->number * SPARSE_PAGE;
	uint64_t first = max_u64(start, offset);
	uint64_t last = min_u64(start + SPARSE_PAGE, end);

	if (first >= last)
		return;
	memset(page->bytes + (first - start), 0, (size_t)(last - first));
	page->hole = page->hole || last - first == SPARSE_PAGE;
}

void sparse_clear(struct sparse *sparse, uint64_t offset, uint64_t length)
{
	for (size_t i = 0; i < sparse->slot_count; i++)
		if (sparse->slots[i])
			clear_page(sparse->slots[i], offset, offset + length);
}

static bool is_data(const struct sparse_page *page)
{
	return page && !page->hole;
}

void sparse_status(const struct sparse *sparse, uint64_t offset, uint64_t length, bool *ret_data,
		   uint64_t *ret_length)
{
	uint64_t end = offset + length;

	*ret_data = is_data(find_page(sparse, offset / SPARSE_PAGE));
	if (*ret_data) {
		uint64_t at = offset;

		while (at < end && is_data(find_page(sparse, at / SPARSE_PAGE)))
			at = (at / SPARSE_PAGE + 1) * SPARSE_PAGE;
		*ret_length = min_u64(length, at - offset);
		return;
	}
	for (size_t i = 0; i < sparse->slot_count; i++) {
		uint64_t start =
			is_data(sparse->slots[i]) ? sparse->slots[i]->number * SPARSE_PAGE : end;

		if (start > offset && start < end)
			end = start;
	}
	*ret_length = end - offset;
}

void sparse_finish(struct sparse *sparse)
{
	for (size_t i = 0; i < sparse->slot_count; i++)
		free(sparse->slots[i]);
	free(sparse->slots);
	*sparse = (struct sparse){ 0 };
}
