/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's image locks, so that a virtual machine, qemu-img and we keep out of each other's way.
 *
 * Single bytes of the file stand for permissions: who uses permission i holds byte 100 + i, and who
 * does not want others to use it holds byte 200 + i. All locks are shared ones, which a descriptor
 * that is open only for reading can take too, so any number of users can hold a byte. Conflicts
 * are found by asking whether an exclusive lock would be possible, after taking the own bytes:
 * of two who come at the same time at least one sees the other. So that it is not both, and then
 * nobody gets it, those of us who may be in each other's way come one after the other. They are
 * locks of the open file description and last until its last descriptor is closed.
 */
#include "hostlock.h"

#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

enum {
	USED_BASE = 100,
	UNSHARED_BASE = 200,
	TURN = IMGFMT_LOCKS_END - 1, /* none of QEMU's */
};

/* How often one asks whether it is one's turn, and how far apart, in ns. */
#define TURN_ATTEMPTS 200
#define TURN_INTERVAL 1000000

/* The permissions that QEMU locks, and what it calls them. */
enum {
	CONSISTENT_READ = 1 << 0,
	WRITE = 1 << 1,
	WRITE_UNCHANGED = 1 << 2,
	RESIZE = 1 << 3,
};

static const char *const permission_names[] = {
	"consistent read",
	"write",
	"write unchanged",
	"resize",
};

struct permissions {
	unsigned int used;
	unsigned int unshared;
};

static const struct permissions role_permissions[] = {
	[HOSTFILE_READER] = { CONSISTENT_READ, WRITE | RESIZE },
	[HOSTFILE_WRITER] = { CONSISTENT_READ | WRITE | RESIZE, WRITE | RESIZE },
};

static struct flock one_byte(short type, unsigned int byte)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)byte,
		.l_len = 1,
	};
}

static int set_lock(int fd, short type, unsigned int byte)
{
	struct flock lock = one_byte(type, byte);
	int r;

	do
		r = fcntl(fd, F_OFD_SETLK, &lock);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Set *ret_held to whether anybody else holds @byte. */
static int test_lock(int fd, unsigned int byte, bool *ret_held)
{
	struct flock lock = one_byte(F_WRLCK, byte);
	int r;

	do
		r = fcntl(fd, F_OFD_GETLK, &lock);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*ret_held = lock.l_type != F_UNLCK;
	return 0;
}

static int take_bytes(int fd, unsigned int base, unsigned int permissions,
		      struct imgfmt_error *reterr)
{
	for (unsigned int i = 0; i < ARRAY_LENGTH(permission_names); i++) {
		int r;

		if (!(permissions & (1U << i)))
			continue;
		r = set_lock(fd, F_RDLCK, base + i);
		if (r == -EAGAIN || r == -EACCES)
			return imgfmt_error_set(reterr, -EBUSY,
						"Failed to lock byte %u: another process has "
						"locked the image exclusively",
						base + i);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "Failed to lock byte %u: %s", base + i,
						strerror(-r));
	}
	return 0;
}

static int test_bytes(int fd, unsigned int base, unsigned int permissions, const char *shared,
		      struct imgfmt_error *reterr)
{
	for (unsigned int i = 0; i < ARRAY_LENGTH(permission_names); i++) {
		bool held = false;
		int r;

		if (!(permissions & (1U << i)))
			continue;
		r = test_lock(fd, base + i, &held);
		if (r < 0)
			return imgfmt_error_set(reterr, r, "Failed to test the lock of byte %u: %s",
						base + i, strerror(-r));
		if (held)
			return imgfmt_error_set(
				reterr, -EBUSY,
				"Failed to get %s\"%s\" lock: another process uses "
				"the image, a running virtual machine or another imgfuse",
				shared, permission_names[i]);
	}
	return 0;
}

static void drop_bytes(int fd)
{
	for (unsigned int i = 0; i < ARRAY_LENGTH(permission_names); i++) {
		(void)set_lock(fd, F_UNLCK, USED_BASE + i);
		(void)set_lock(fd, F_UNLCK, UNSHARED_BASE + i);
	}
}

/* How a kernel or a file system says that it has none, before any are taken. */
static bool has_no_locks(int r)
{
	return r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -ENOLCK;
}

/* Wait for one's turn, which readers share. Whoever keeps it for long is none of us. */
static int take_turn(int fd, enum hostfile_role role, struct imgfmt_error *reterr)
{
	const struct timespec interval = { .tv_nsec = TURN_INTERVAL };
	short type = role == HOSTFILE_WRITER ? F_WRLCK : F_RDLCK;

	for (unsigned int attempt = 0; attempt < TURN_ATTEMPTS; attempt++) {
		int r = set_lock(fd, type, TURN);

		if (r == 0)
			return 0;
		if (r != -EAGAIN && r != -EACCES)
			return imgfmt_error_set(reterr, r, "Failed to lock byte %d: %s", TURN,
						strerror(-r));
		nanosleep(&interval, NULL);
	}
	return 0;
}

static int take_all(int fd, const struct permissions *want, struct imgfmt_error *reterr)
{
	int r;

	r = take_bytes(fd, USED_BASE, want->used, reterr);
	if (r == 0)
		r = take_bytes(fd, UNSHARED_BASE, want->unshared, reterr);
	if (r == 0)
		r = test_bytes(fd, UNSHARED_BASE, want->used, "", reterr);
	if (r == 0)
		r = test_bytes(fd, USED_BASE, want->unshared, "shared ", reterr);
	if (r < 0)
		drop_bytes(fd);
	return r;
}

static int take_in_turn(int fd, enum hostfile_role role, struct imgfmt_error *reterr)
{
	int r, ended;

	r = take_turn(fd, role, reterr);
	if (r == 0)
		r = take_all(fd, &role_permissions[role], reterr);
	ended = set_lock(fd, F_UNLCK, TURN);
	if (r == 0 && ended < 0) {
		drop_bytes(fd);
		r = imgfmt_error_set(reterr, ended, "Failed to unlock byte %d: %s", TURN,
				     strerror(-ended));
	}
	return r;
}

int hostlock_take(int fd, enum hostfile_role role, struct imgfmt_error *reterr)
{
	bool held;
	int r;

	r = test_lock(fd, USED_BASE, &held);
	if (r < 0)
		return imgfmt_error_set(reterr, has_no_locks(r) ? -ENOLCK : r,
					"cannot be locked: %s", strerror(-r));
	r = take_in_turn(fd, role, reterr);
	/* there are locks: that one cannot be had is no reason to do without */
	return r == -ENOLCK ? -EIO : r;
}

int imgfmt_is_being_written(int fd)
{
	bool held = false;
	int r;

	/* all who write use at least one of these, and those who only read neither */
	r = test_lock(fd, USED_BASE + __builtin_ctz(WRITE), &held);
	if (r == 0 && !held)
		r = test_lock(fd, USED_BASE + __builtin_ctz(RESIZE), &held);
	return r < 0 ? r : held;
}
