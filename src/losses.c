/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counting; see losses.h. */
#include "losses.h"

#include "lock.h"

void losses_init(struct losses *losses)
{
	*losses = (struct losses){ 0 };
	pthread_mutex_init(&losses->lock, NULL);
}

void losses_finish(struct losses *losses)
{
	pthread_mutex_destroy(&losses->lock);
}

void losses_open(struct losses *losses, struct losses_handle *handle)
{
	LOCKED(&losses->lock);

	handle->known = losses->count;
	losses->handles++;
}

void losses_close(struct losses *losses, const struct losses_handle *handle)
{
	LOCKED(&losses->lock);

	if (handle->known != losses->count)
		losses->ignorant--;
	losses->handles--;
}

void losses_note(struct losses *losses, int error)
{
	LOCKED(&losses->lock);

	losses->count++;
	losses->ignorant = losses->handles;
	losses->error = error;
}

int losses_ask(struct losses *losses, const struct losses_handle *handle)
{
	LOCKED(&losses->lock);

	return handle->known != losses->count ? losses->error : 0;
}

unsigned int losses_count(struct losses *losses)
{
	LOCKED(&losses->lock);

	return losses->count;
}

void losses_tell(struct losses *losses, struct losses_handle *handle, unsigned int count)
{
	LOCKED(&losses->lock);

	/* another one may have been faster, and what was lost since is not known yet */
	if (handle->known != losses->count) {
		handle->known = count;
		if (count == losses->count)
			losses->ignorant--;
	}
	if (losses->ignorant == 0)
		losses->error = 0;
}

int losses_error(struct losses *losses)
{
	LOCKED(&losses->lock);

	return losses->error;
}
