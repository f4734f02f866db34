/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One datagram; see notify.h. */
#include "notify.h"

#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void notify(const char *state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *name = getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -1;
	size_t length;

	if (!name || (*name != '/' && *name != '@'))
		return;
	length = strlen(name);
	if (length >= sizeof(address.sun_path)) {
		log_warning("NOTIFY_SOCKET is too long");
		return;
	}
	memcpy(address.sun_path, name, length);
	/* the name of an abstract socket begins with a NUL, and ends where its length says */
	if (*name == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		log_warning("cannot notify %s: %s", name, strerror(errno));
}
