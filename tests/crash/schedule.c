/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that take turns; see schedule.h.
 *
 * What stays true: of the threads of a run only the one with the turn does anything but wait for
 * its turn. A lock that is not free is tried again in a later turn.
 */
#include "schedule.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* So many turns in vain one after the other mean that nobody can go on. */
#define DEADLOCK 1000000u

/* Places that the others pass, time enough for several requests. */
#define LONG_TIME 400

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *lock);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);

struct scheduled {
	pthread_t thread;
	pthread_cond_t turn_came;
	unsigned int number;
	bool alive;
	uint64_t asleep_until; /* it gets no turn before, unless nobody else can go on */
};

static struct {
	pthread_mutex_t mutex;
	struct scheduled threads[SCHEDULE_MAX_THREADS];
	unsigned int count;
	unsigned int turn; /* whose it is; count: nobody's */
	uint64_t now;      /* places passed */
	unsigned int in_vain;
	unsigned int percent;
	struct prng *prng;
	void (*body)(void *userdata, unsigned int thread);
	void *userdata;
} schedule = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static __thread struct scheduled *self;

/* Whose turn is next: one who is awake, or else who wakes first. @but is asked last. */
static unsigned int choose(const struct scheduled *but)
{
	unsigned int start = (unsigned int)prng_below(schedule.prng, schedule.count);
	struct scheduled *best = NULL;

	for (unsigned int i = 0; i < schedule.count; i++) {
		struct scheduled *thread = &schedule.threads[(start + i) % schedule.count];

		if (!thread->alive || thread == but)
			continue;
		if (thread->asleep_until <= schedule.now)
			return thread->number;
		if (!best || thread->asleep_until < best->asleep_until)
			best = thread;
	}
	if (best)
		return best->number;
	return but && but->alive ? but->number : schedule.count;
}

static void wait_for_turn(void)
{
	while (schedule.turn != self->number)
		__real_pthread_cond_wait(&self->turn_came, &schedule.mutex);
}

static void give_turn(unsigned int number)
{
	schedule.turn = number;
	if (number < schedule.count)
		pthread_cond_signal(&schedule.threads[number].turn_came);
}

static void pass_turn(unsigned int number)
{
	if (number == self->number)
		return;
	__real_pthread_mutex_lock(&schedule.mutex);
	give_turn(number);
	wait_for_turn();
	__real_pthread_mutex_unlock(&schedule.mutex);
}

void schedule_point(void)
{
	if (!self)
		return;
	schedule.now++;
	schedule.in_vain = 0;
	if (!prng_chance(schedule.prng, schedule.percent))
		return;
	/* Now and then for so long that others get much done. */
	if (prng_chance(schedule.prng, 30))
		self->asleep_until = schedule.now + prng_below(schedule.prng, LONG_TIME);
	pass_turn(choose(NULL));
}

void schedule_rest(void)
{
	if (!self)
		return;
	schedule.now++;
	if (prng_chance(schedule.prng, 50))
		self->asleep_until = schedule.now + prng_below(schedule.prng, LONG_TIME);
	pass_turn(choose(NULL));
}

/* There is nothing to do in this turn. */
static void yield_in_vain(void)
{
	schedule.now++;
	if (++schedule.in_vain > DEADLOCK) {
		fprintf(stderr, "deadlock: no thread can go on\n");
		abort();
	}
	pass_turn(choose(self));
}

static void *thread_main(void *argument)
{
	self = argument;
	__real_pthread_mutex_lock(&schedule.mutex);
	wait_for_turn();
	__real_pthread_mutex_unlock(&schedule.mutex);
	schedule.body(schedule.userdata, self->number);
	__real_pthread_mutex_lock(&schedule.mutex);
	self->alive = false;
	give_turn(choose(NULL));
	__real_pthread_mutex_unlock(&schedule.mutex);
	return NULL;
}

void schedule_run(unsigned int count, void (*body)(void *userdata, unsigned int thread),
		  void *userdata, unsigned int percent, struct prng *prng)
{
	assert(count > 0 && count <= SCHEDULE_MAX_THREADS && !self);
	schedule.count = schedule.turn = count;
	schedule.now = 0;
	schedule.percent = percent;
	schedule.prng = prng;
	schedule.body = body;
	schedule.userdata = userdata;
	for (unsigned int i = 0; i < count; i++) {
		struct scheduled *thread = &schedule.threads[i];

		*thread = (struct scheduled){ .number = i, .alive = true };
		pthread_cond_init(&thread->turn_came, NULL);
	}
	for (unsigned int i = 0; i < count; i++) {
		struct scheduled *thread = &schedule.threads[i];

		if (pthread_create(&thread->thread, NULL, thread_main, thread) != 0) {
			fprintf(stderr, "cannot create a thread\n");
			exit(2);
		}
	}
	__real_pthread_mutex_lock(&schedule.mutex);
	give_turn(choose(NULL));
	__real_pthread_mutex_unlock(&schedule.mutex);
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(schedule.threads[i].thread, NULL);
		pthread_cond_destroy(&schedule.threads[i].turn_came);
	}
}

/* ---- what the library calls in place of libpthread ---- */

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	int r;

	if (!self)
		return __real_pthread_mutex_lock(mutex);
	schedule_point();
	while ((r = pthread_mutex_trylock(mutex)) == EBUSY)
		yield_in_vain();
	return r;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	int r = __real_pthread_mutex_unlock(mutex);

	schedule_point();
	return r;
}

/* Waking up without a reason is allowed, and all that ever happens. */
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	int r;

	if (!self)
		return __real_pthread_cond_wait(cond, mutex);
	__real_pthread_mutex_unlock(mutex);
	yield_in_vain();
	while ((r = pthread_mutex_trylock(mutex)) == EBUSY)
		yield_in_vain();
	return r;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	int r;

	if (!self)
		return __real_pthread_rwlock_rdlock(lock);
	schedule_point();
	while ((r = pthread_rwlock_tryrdlock(lock)) == EBUSY)
		yield_in_vain();
	return r;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	int r;

	if (!self)
		return __real_pthread_rwlock_wrlock(lock);
	schedule_point();
	while ((r = pthread_rwlock_trywrlock(lock)) == EBUSY)
		yield_in_vain();
	return r;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	int r = __real_pthread_rwlock_unlock(lock);

	schedule_point();
	return r;
}
