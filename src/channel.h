/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the processes of an export say to each other: messages over socket pairs, between the
 * supervisor and the server, and between the supervisor and the helper.
 *
 * The server parses images, so nobody believes it more than he must: what it says is checked for
 * its form here, and can cause no more than what it may cause as a server.
 */
#pragma once

#include "log.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum message_type {
	/* from the server */
	MESSAGE_LOG = 1, /* value: the priority; text: what to say */
	MESSAGE_MOUNTED, /* device, unique: which mount, if it knows; waits for MESSAGE_HELPER */
	MESSAGE_USABLE,  /* text: what the image is */
	MESSAGE_CORRECT, /* value: enum correction; size, times, range; helper: who is to do it */
	MESSAGE_ENDED,   /* value: 0 where the image is final, or -errno; the last one */
	/* to the server */
	MESSAGE_HELPER,    /* supervisor, helper: who they are; value: outcome_fd, see identity.h */
	MESSAGE_CORRECTED, /* value: 0 or -errno; from the helper */
	MESSAGE_STOP,      /* end though the mount is there */
	/* to the helper */
	MESSAGE_UNMOUNT,
	MESSAGE_SYNC,
	/* from the helper */
	MESSAGE_READY,     /* it has left the process group of the supervisor */
	MESSAGE_UNMOUNTED, /* value: 0, -EBUSY: detached, or why it failed; text: in words */
	MESSAGE_SYNCED,
};

/* What to correct in the kernel's idea of the export; to be or'ed, and done in this order. */
enum correction {
	CORRECT_CACHE = 1, /* drop what it has cached of a range */
	CORRECT_ERROR = 2, /* hear of an error that the kernel keeps for the next to ask */
	CORRECT_SIZE = 4,  /* make its size the true one */
	CORRECT_TIMES = 8, /* and its times: it believes that the first correction was a change */
};

struct message {
	enum message_type type;
	int32_t value;
	pid_t supervisor, helper;
	uint64_t size;
	struct timespec times[2]; /* of the last access, and of the last change */
	uint64_t range[2];        /* where it begins, and where it ends */
	uint64_t device, unique;  /* see mountinfo.h */
	char text[LOG_MESSAGE_MAX];
};

/* Create both ends of a channel. Returns 0 or -errno. */
int channel_create(int ret_ends[2]);

/* Send a message; its text up to the NUL. Waits for room. Returns 0, or -EPIPE: nobody listens. */
int channel_send(int fd, const struct message *message);

/* The same for a message that is only a type and a value. */
int channel_tell(int fd, enum message_type type, int value);

/* Like channel_send(), but where there is no room that is -EAGAIN, and the message is dropped. */
int channel_try_send(int fd, const struct message *message);

/*
 * Wait for a message. Returns 1, 0 where the other end is closed, or -errno: -EPROTO for one that
 * is none of ours.
 */
int channel_receive(int fd, struct message *ret);
