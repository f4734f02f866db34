/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rights of another user; see become.h. The file system's ids are enough: with them go the
 * capabilities that let root pass every permission, and no signal of that user can reach us.
 */
#include "become.h"

#include "cleanup.h"

#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

static int save_groups(struct identity_change *change)
{
	int count = getgroups(0, NULL);

	if (count < 0)
		return -errno;
	change->groups = calloc((size_t)count + 1, sizeof(*change->groups));
	if (!change->groups)
		return -ENOMEM;
	change->group_count = getgroups(count, change->groups);
	if (change->group_count >= 0)
		return 0;
	free(change->groups);
	return -errno;
}

/* The group of who is in none. */
#define NO_GROUP 65534

/* A user that the system does not know is in no group: that of a file says nothing of him. */
static int take_groups(uid_t user)
{
	const struct passwd *entry = getpwuid(user);
	int r = entry ? initgroups(entry->pw_name, entry->pw_gid) : setgroups(0, NULL);

	return r < 0 ? -errno : 0;
}

int identity_become(struct identity_change *change, uid_t user)
{
	const struct passwd *entry = getpwuid(user);
	gid_t primary = entry ? entry->pw_gid : NO_GROUP;
	int r;

	/* then the capabilities would stay, and the file system would refuse us nothing */
	if (prctl(PR_GET_SECUREBITS) & SECBIT_NO_SETUID_FIXUP)
		return -EPERM;
	r = save_groups(change);
	if (r < 0)
		return r;
	r = take_groups(user);
	if (r < 0) {
		free(change->groups);
		return r;
	}
	/* these return what was before, and say nothing of failing: ask again to know */
	change->gid = (gid_t)setfsgid(primary);
	change->uid = (uid_t)setfsuid(user);
	if ((uid_t)setfsuid((uid_t)-1) == user && (gid_t)setfsgid((gid_t)-1) == primary)
		return 0;
	identity_revert(change);
	return -EPERM;
}

void identity_revert(struct identity_change *change)
{
	setfsuid(change->uid);
	setfsgid(change->gid);
	if ((uid_t)setfsuid((uid_t)-1) != change->uid ||
	    (gid_t)setfsgid((gid_t)-1) != change->gid ||
	    setgroups((size_t)change->group_count, change->groups) < 0)
		abort();
	free(change->groups);
}
