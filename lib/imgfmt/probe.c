/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What format a file has, judged by its first bytes. Apart from taking the sample it does no I/O,
 * so that the core can also ask what a sample would become by a write.
 */
#include "bytes.h"
#include "drivers.h"

#include <assert.h>

int imgfmt_take_sample(struct hostfile *file, struct imgfmt_sample *ret)
{
	struct imgfmt_sample sample;
	int r = hostfile_size(file, &sample.size);

	if (r == 0)
		r = hostfile_read(file, sample.head, sizeof(sample.head), 0);
	if (r < 0)
		return r;
	*ret = sample;
	return 0;
}

const struct imgfmt_driver *imgfmt_probe(const struct imgfmt_sample *sample)
{
	const struct imgfmt_driver *best = NULL;
	int best_score = 0;

	for (unsigned int i = 0; imgfmt_drivers[i]; i++) {
		int score = imgfmt_drivers[i]->probe(sample);

		if (score > best_score) {
			best = imgfmt_drivers[i];
			best_score = score;
		}
	}
	assert(best);
	return best;
}

int imgfmt_probe_qcow(const struct imgfmt_sample *sample, bool version_1)
{
	if (get_be32(sample->head) != QCOW_MAGIC)
		return 0;
	return (get_be32(sample->head + 4) == 1) == version_1 ? 100 : 0;
}
