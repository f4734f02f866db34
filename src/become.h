/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking the file system with the rights of another user, for a moment, as root. For use while
 * there is one thread only.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* What to go back to. */
struct identity_change {
	gid_t *groups;
	int group_count;
	uid_t uid;
	gid_t gid;
};

/*
 * Take the rights of a user and of all groups that the system knows him to be in. Returns 0 or
 * -errno: nothing changed.
 */
int identity_become(struct identity_change *change, uid_t user);

/* Take the own rights again; ends the process where that fails, as nothing would be right then. */
void identity_revert(struct identity_change *change);
