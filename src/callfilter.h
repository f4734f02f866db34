/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which system calls are left to a process that does nothing but serve: seccomp, by libseccomp.
 */
#pragma once

/* Where this build has no filter: built without libseccomp, callfilter_count() is 0. */

/*
 * Leave all threads of the process, and itself, only the calls of the table, for good. Others fail
 * with ENOSYS, as on a kernel that does not know them, which every library is prepared for; those
 * which only an intruder would make end the process by SIGSYS. The process must have given up
 * gaining privileges (PR_SET_NO_NEW_PRIVS). Returns 0; or -errno, and nothing has changed: -ENOSYS
 * where it was built without libseccomp.
 */
int callfilter_load(void);

/* How many calls are left. */
unsigned int callfilter_count(void);
