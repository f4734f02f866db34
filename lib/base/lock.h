/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mutexes and read-write locks that are released at the end of the scope.
 *
 * 	LOCKED(&state->mutex);
 * 	SHARED(&image->use);
 *
 * Locking cannot fail here: our locks are plain ones, and a failure is a mistake of ours.
 */
#pragma once

#include "cleanup.h"

#include <assert.h>
#include <pthread.h>

static inline void mutex_lock(pthread_mutex_t *mutex)
{
	int r = pthread_mutex_lock(mutex);

	assert(r == 0);
	(void)r;
}

static inline void mutex_unlock(pthread_mutex_t *mutex)
{
	int r = pthread_mutex_unlock(mutex);

	assert(r == 0);
	(void)r;
}

static inline pthread_mutex_t *mutex_locked(pthread_mutex_t *mutex)
{
	mutex_lock(mutex);
	return mutex;
}

static inline void mutex_unlock_pointee(pthread_mutex_t **mutex)
{
	if (*mutex)
		mutex_unlock(*mutex);
}

/*
 * Set up a read-write lock that a steady stream of readers cannot keep a writer from. Who has it
 * shared must not take it once more.
 */
static inline void rwlock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;
	int r = pthread_rwlockattr_init(&attributes);

	assert(r == 0);
	r = pthread_rwlockattr_setkind_np(&attributes,
					  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	assert(r == 0);
	r = pthread_rwlock_init(lock, &attributes);
	assert(r == 0);
	(void)r;
	pthread_rwlockattr_destroy(&attributes);
}

static inline pthread_rwlock_t *rwlock_shared(pthread_rwlock_t *lock)
{
	int r = pthread_rwlock_rdlock(lock);

	assert(r == 0);
	(void)r;
	return lock;
}

static inline pthread_rwlock_t *rwlock_exclusive(pthread_rwlock_t *lock)
{
	int r = pthread_rwlock_wrlock(lock);

	assert(r == 0);
	(void)r;
	return lock;
}

static inline void rwlock_unlock_pointee(pthread_rwlock_t **lock)
{
	int r = pthread_rwlock_unlock(*lock);

	assert(r == 0);
	(void)r;
}

#define LOCK_PASTE_(a, b)  a##b
#define LOCK_UNIQUE_(a, b) LOCK_PASTE_(a, b)

/* Hold a mutex until the scope ends. */
#define LOCKED(mutex)                                                              \
	CLEANUP(mutex_unlock_pointee)                                              \
	__attribute__((unused)) pthread_mutex_t *LOCK_UNIQUE_(locked_, __LINE__) = \
		mutex_locked(mutex)

/* Hold a read-write lock shared until the scope ends. */
#define SHARED(lock)                                                                \
	CLEANUP(rwlock_unlock_pointee)                                              \
	__attribute__((unused)) pthread_rwlock_t *LOCK_UNIQUE_(shared_, __LINE__) = \
		rwlock_shared(lock)

/* Hold a read-write lock exclusively until the scope ends. */
#define EXCLUSIVE(lock)                                                                \
	CLEANUP(rwlock_unlock_pointee)                                                 \
	__attribute__((unused)) pthread_rwlock_t *LOCK_UNIQUE_(exclusive_, __LINE__) = \
		rwlock_exclusive(lock)
