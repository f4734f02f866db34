/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order counts: the bounding set needs the privileges that go after it, and Landlock and the
 * filter are for those only who cannot gain any.
 */
#include "sandbox.h"

#include "array.h"
#include "callfilter.h"
#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The address and thread sanitizers read files of /proc, start a program to name an address, and
 * look for leaks from a process of their own: a build that has one of them stays as it is.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* ---- privileges ---- */

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* only root can, and needs to: others have none that they could hand on */
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
	     capability++)
		(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int drop_privileges(void)
{
	int r;

	r = drop_capabilities();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	/* our memory holds what others may not read: no file of it, and nobody who looks */
	if (r == 0 && setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) < 0)
		r = -errno;
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

/* ---- Landlock ---- */

/* As the kernel's header has it by now; it takes a longer one if what it does not know is 0. */
struct landlock_ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scopes;
};

/* How many rights, from bit 0 on, the versions of Landlock know, from version 1 on. */
static const struct {
	unsigned int files, network, scopes;
} landlock_versions[] = {
	{ 13, 0, 0 }, { 14, 0, 0 }, { 15, 0, 0 }, { 15, 2, 0 }, { 16, 2, 0 }, { 16, 2, 2 },
};

static uint64_t bits(unsigned int count)
{
	return (UINT64_C(1) << count) - 1;
}

/* Allow nothing of all that this kernel's version can forbid. Returns the version. */
static int restrict_by_landlock(void)
{
	struct landlock_ruleset ruleset = { 0 };
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_close_ int fd = -1;
	size_t known;

	if (version < 0)
		return -errno;
	known = (size_t)version < ARRAY_LENGTH(landlock_versions) ? (size_t)version :
								    ARRAY_LENGTH(landlock_versions);
	if (known == 0)
		return -ENOSYS;
	ruleset.files = bits(landlock_versions[known - 1].files);
	ruleset.network = bits(landlock_versions[known - 1].network);
	ruleset.scopes = bits(landlock_versions[known - 1].scopes);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return -errno;
	return (int)version;
}

bool sandbox_is_built(void)
{
	return !SANITIZED;
}

/* ---- the two steps ---- */

void sandbox_begin(const char *name)
{
	int r;

	if (SANITIZED) {
		log_verbose("%s: no sandbox: this build has a sanitizer", name);
		return;
	}
	r = drop_privileges();
	if (r < 0)
		log_warning("%s: served with privileges, which cannot be dropped: %s", name,
			    strerror(-r));
	r = restrict_by_landlock();
	if (r < 0)
		log_verbose("%s: served without Landlock: %s", name, strerror(-r));
	else
		log_verbose("%s: no files can be opened from now on: Landlock, version %d", name,
			    r);
}

void sandbox_seal(const char *name)
{
	int r;

	if (SANITIZED)
		return;
	r = callfilter_load();
	if (r == 0)
		log_verbose("%s: %u system calls are left", name, callfilter_count());
	else if (callfilter_count() == 0)
		log_warning("%s: served with all system calls: built without libseccomp", name);
	else
		log_warning("%s: served with all system calls: seccomp: %s", name, strerror(-r));
}
