/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who knows of lost writes: each handle for itself, until an fsync() of its own has worked. */
#include "losses.h"

#include "test.h"

#include <errno.h>

static struct losses losses;

static void test_each_for_itself(void)
{
	struct losses_handle first, second, late;

	losses_init(&losses);
	losses_open(&losses, &first);
	losses_open(&losses, &second);
	losses_note(&losses, -ENOSPC);
	losses_open(&losses, &late);
	losses_tell(&losses, &second, losses_count(&losses));
	CHECK_EQUAL(losses_ask(&losses, &first), -ENOSPC);
	CHECK_EQUAL(losses_ask(&losses, &first), -ENOSPC);
	CHECK_EQUAL(losses_ask(&losses, &second), 0);
	CHECK_EQUAL(losses_ask(&losses, &late), 0);
	CHECK_EQUAL(losses_error(&losses), -ENOSPC);
	losses_tell(&losses, &first, losses_count(&losses));
	CHECK_EQUAL(losses_ask(&losses, &first), 0);
	CHECK_EQUAL(losses_error(&losses), 0);
	losses_finish(&losses);
}

/* What is lost while an fsync() is under way that one cannot have told of. */
static void test_lost_meanwhile(void)
{
	struct losses_handle handle;
	unsigned int before, after;

	losses_init(&losses);
	losses_open(&losses, &handle);
	losses_note(&losses, -EIO);
	before = losses_count(&losses);
	losses_note(&losses, -ENOSPC);
	losses_tell(&losses, &handle, before);
	CHECK_EQUAL(losses_ask(&losses, &handle), -ENOSPC);
	CHECK_EQUAL(losses_error(&losses), -ENOSPC);

	/* and the slower of two takes nothing back */
	after = losses_count(&losses);
	losses_tell(&losses, &handle, after);
	losses_tell(&losses, &handle, before);
	CHECK_EQUAL(losses_ask(&losses, &handle), 0);
	losses_close(&losses, &handle);
	CHECK_EQUAL(losses.ignorant, 0);
	CHECK_EQUAL(losses_error(&losses), 0);
	losses_finish(&losses);
}

/* Who closes without having heard keeps nobody else from the end of the matter, but ends it not. */
static void test_closed_in_ignorance(void)
{
	struct losses_handle first, next;

	losses_init(&losses);
	losses_open(&losses, &first);
	losses_note(&losses, -ENOSPC);
	losses_close(&losses, &first);
	CHECK_EQUAL(losses_error(&losses), -ENOSPC);
	losses_open(&losses, &next);
	losses_tell(&losses, &next, losses_count(&losses));
	CHECK_EQUAL(losses_error(&losses), 0);
	losses_close(&losses, &next);
	losses_finish(&losses);
}

int main(void)
{
	test_each_for_itself();
	test_lost_meanwhile();
	test_closed_in_ignorance();
	return 0;
}
