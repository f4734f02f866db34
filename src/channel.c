/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that keep the borders of messages.
 */
#include "channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

int channel_create(int ret_ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0 ? -errno : 0;
}

static int transmit(int fd, const struct message *message, int flags)
{
	size_t count = offsetof(struct message, text) +
		       strnlen(message->text, sizeof(message->text) - 1) + 1;
	ssize_t n;

	do {
		n = send(fd, message, count, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int channel_send(int fd, const struct message *message)
{
	return transmit(fd, message, 0);
}

int channel_tell(int fd, enum message_type type, int value)
{
	const struct message message = { .type = type, .value = value };

	return transmit(fd, &message, 0);
}

int channel_try_send(int fd, const struct message *message)
{
	return transmit(fd, message, MSG_DONTWAIT);
}

int channel_receive(int fd, struct message *ret)
{
	ssize_t n;

	/* reset: the other one has ended with something unread; but what he sent is still there */
	do {
		n = recv(fd, ret, sizeof(*ret), MSG_TRUNC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return n < 0 ? -errno : 0;
	if ((size_t)n <= offsetof(struct message, text) || (size_t)n > sizeof(*ret) ||
	    ((const char *)ret)[n - 1] != '\0')
		return -EPROTO;
	return 1;
}
