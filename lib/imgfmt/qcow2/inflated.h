/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small cache of decompressed clusters, for readers that want a cluster in several pieces.
 *
 * A cluster is known by where its compressed bytes lie. We write no compressed clusters, so what
 * lies there stays what it is as long as anybody may ask for it (I5), and nothing in the cache ever
 * becomes invalid. Nor does it help to try again what cannot be decompressed: to find that out can
 * take as long as hundreds of good clusters, and the kernel asks once more for each page. So the
 * cache keeps -EUCLEAN too.
 *
 * Bounded by bytes; safe to use from many threads. Who finds a cluster being decompressed waits,
 * and may do something useful before: decompress the one behind it, say.
 */
#pragma once

#include "list.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct inflated_cache {
	pthread_mutex_t mutex; /* the last lock to be taken */
	pthread_cond_t ready;
	struct list clusters; /* struct inflated, the one used last in front */
	size_t count, limit;
	size_t cluster_size;
};

void inflated_init(struct inflated_cache *cache, size_t cluster_size);
void inflated_finish(struct inflated_cache *cache);

struct inflated_source {
	/* Makes the cluster: fills @cluster, cluster_size bytes. Returns 0 or -errno. */
	int (*inflate)(void *userdata, uint8_t *cluster);
	/* Called before waiting for somebody else who makes it. NULL: nothing to do. */
	void (*meanwhile)(void *userdata);
	void *userdata;
};

/* Where compressed bytes lie, and how many they are. */
struct inflated_place {
	uint64_t host_offset;
	size_t length;
};

/*
 * Copy @count bytes from @into bytes behind the start of a cluster, which @source makes if need be.
 */
int inflated_read(struct inflated_cache *cache, struct inflated_place place, size_t into,
		  void *buffer, size_t count, const struct inflated_source *source);

/* Make a cluster that somebody will want, unless it is there, or being made. */
void inflated_prepare(struct inflated_cache *cache, struct inflated_place place,
		      const struct inflated_source *source);
