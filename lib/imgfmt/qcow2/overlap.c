/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where guest data must never go. An image that contradicts itself may say that a guest cluster
 * lies over its own header: who writes there could, say, name files of the host for the next who
 * opens the image.
 */
#include "qcow2.h"

#include "overflow.h"

#include <errno.h>

int qcow2_check_fixed(const struct qcow2 *q, uint64_t host_offset, uint64_t length)
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

int qcow2_check_overlap(const struct qcow2 *q, uint64_t host_offset, uint64_t length)
{
	if (cache_holds(&q->cache, host_offset, length))
		return -EUCLEAN;
	return qcow2_check_fixed(q, host_offset, length);
}
