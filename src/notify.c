/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One datagram; see notify.h. */
#include "notify.h"

#include "log.h"
#include "outward.h"

#include <stdlib.h>
#include <string.h>

void notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int r;

	if (!name || (*name != '/' && *name != '@'))
		return;
	r = outward_send(name, state, NULL);
	if (r < 0)
		log_warning("cannot notify %s: %s", name, strerror(-r));
}
