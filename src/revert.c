/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ask the export whose it is, before its mount goes away; unmount; wait for all who have to end.
 */
#include "revert.h"

#include "cleanup.h"
#include "ending.h"
#include "gate.h"
#include "identity.h"
#include "inherited.h"
#include "inquiry.h"
#include "interruption.h"
#include "log.h"
#include "mountinfo.h"
#include "place.h"
#include "unmount.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often, and how far apart in ms, an unmount is tried that finds the mount in use. */
#define BUSY_ATTEMPTS 20
#define BUSY_INTERVAL 50

/* How many mounts may lie over an export, or come and go there. */
#define COVERS_MAX 64

/* After how many ms a user who waits for a server is told so. */
#define SERVER_TIMEOUT 5000

/* An export that is to end, and what came of it. */
struct revert {
	struct mount_entry entry;
	struct mount_identity identity;
	struct ending ending;
	bool lazy, was_busy;
};

static void revert_finish(struct revert *revert)
{
	ending_finish(&revert->ending);
	mount_identity_finish(&revert->identity);
	mount_entry_finish(&revert->entry);
}

/* Does the mount belong to another user than the one whom we serve? Then what it says is his. */
static bool is_strangers(const struct mount_entry *entry)
{
	return entry->user != geteuid();
}

/* There is no export at @target. Was its image meant, which is exported elsewhere or was? */
static int no_export(const char *target, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };
	struct imgfmt_error why;
	_cleanup_close_ int fd = -1;

	if (mountinfo_find_export(target, &entry) == 0)
		return imgfmt_error_set(reterr, -ENOENT,
					"is not an export, but the image of one: imgfuse -u %s",
					entry.target);
	fd = gate_open_file(target, O_RDONLY, &why);
	if (fd >= 0 && imgfmt_is_being_written(fd) > 0)
		return imgfmt_error_set(reterr, -ENOENT,
					"is not an export (any more), but somebody has it open for "
					"writing, perhaps an export that was detached");
	return imgfmt_error_set(reterr, -ENOENT, "is not an export, nothing is mounted there");
}

/* Has another user laid a mount of his, whatever its type, over an export? */
static bool is_cover(const struct mount_entry *entry)
{
	return mount_entry_is_strangers(entry) && mountinfo_hides_export(entry);
}

static int find_export(const char *target, struct mount_entry *ret, struct imgfmt_error *reterr)
{
	int r = mountinfo_find_target(target, ret);

	if (r == -ENOENT)
		return no_export(target, reterr);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "cannot read /proc/self/mountinfo: %s",
					strerror(-r));
	if (!mount_entry_is_ours(ret) && !is_cover(ret))
		return imgfmt_error_set(reterr, -EINVAL,
					"is not an export of imgfuse but a mount of type %s",
					ret->type);
	if (geteuid() != 0 && is_strangers(ret))
		return imgfmt_error_set(reterr, -EPERM,
					"is an export of the user with the id %u; only he and root "
					"can end it",
					(unsigned int)ret->user);
	return 0;
}

/* ---- unmounting ---- */

/* Unmount what has nothing to say; who still uses it is in nobody's way. */
static int remove_mount(const struct revert *revert, struct imgfmt_error *reterr)
{
	int r = unmount_identity(&revert->identity, false, reterr);

	return r == -EBUSY ? unmount_identity(&revert->identity, true, reterr) : r;
}

/*
 * Is somebody still writing to the image? A server that was told to end at once has left its mount,
 * and yet to bring the last of it to the image.
 */
static bool is_being_written(const struct mount_entry *entry)
{
	const char *image = place_image_of(entry->source, entry->target);
	struct imgfmt_error why;
	_cleanup_close_ int fd = -1;

	if (is_strangers(entry)) /* it says what it shows, and is dead */
		return false;
	if (!image)
		return true; /* for all we know */
	fd = gate_open_file(image, O_RDONLY, &why);
	return fd >= 0 && imgfmt_is_being_written(fd) > 0;
}

/* Unmount what no server stands behind. */
static int remove_dead(const struct revert *revert, struct imgfmt_error *reterr)
{
	int r = remove_mount(revert, reterr);

	if (r < 0)
		return r;
	if (is_being_written(&revert->entry))
		return imgfmt_error_set(reterr, -EBUSY,
					"removed the dead mount, but somebody may still write to "
					"the image, perhaps its server, which was told to end at "
					"once; whether it will be complete is not known");
	log_warning("%s: its server had died; removed the dead mount", revert->entry.target);
	return 0;
}

/*
 * Unmount, and give the server a moment: behind a write that was refused it uses the mount itself
 * to put the kernel's size right.
 */
static int unmount_patiently(const struct mount_identity *identity, struct imgfmt_error *reterr)
{
	int r = unmount_identity(identity, false, reterr);

	for (int attempt = 0; r == -EBUSY && attempt < BUSY_ATTEMPTS; attempt++) {
		poll(NULL, 0, BUSY_INTERVAL);
		r = unmount_identity(identity, false, reterr);
	}
	return r;
}

/* Unmount what somebody uses, or say who does. */
static int unmount_busy(const struct revert *revert, struct imgfmt_error *reterr)
{
	const struct mount_entry *entry = &revert->entry;
	_cleanup_close_ int fd = -1;
	char users[256];

	users_describe(entry, users, sizeof(users));
	if (!revert->lazy)
		return imgfmt_error_set(
			reterr, -EBUSY,
			"is in use%s%s; close what uses it and try again, or detach "
			"it with --lazy",
			*users ? " by " : "", users);
	/* as a plain unmount would have; a detached one is written back when it is closed */
	if (!is_strangers(entry))
		fd = mountinfo_open(entry->target, entry->device, O_RDONLY);
	if (fd >= 0) {
		syncfs(fd);
		close(steal_fd(&fd));
	}
	log_warning("%s: detached; waiting for who uses it%s%s", entry->target, *users ? ": " : "",
		    users);
	return unmount_identity(&revert->identity, true, reterr);
}

/* The file system may be mounted elsewhere, too: then it lives on, and so does the export. */
static int look_elsewhere(const struct revert *revert, struct imgfmt_error *reterr)
{
	_cleanup_mount_entry_ struct mount_entry other = { 0 };

	if (!ending_has_server(&revert->ending) ||
	    mountinfo_find_device(revert->entry.device, &other) < 0 ||
	    !mount_entry_is_ours(&other) || strcmp(other.source, revert->entry.source) != 0)
		return 0;
	if (!revert->lazy)
		return imgfmt_error_set(reterr, -EBUSY,
					"unmounted, but it is still mounted at %s, and goes on "
					"until imgfuse -u %s",
					other.target, other.target);
	log_warning("%s: unmounted, but it is still mounted at %s; waiting until it is not",
		    revert->entry.target, log_printable(other.target));
	return 0;
}

static int unmount_export(struct revert *revert, struct imgfmt_error *reterr)
{
	int r;

	interruption_means(revert->entry.target, "it may be unmounted, and is not final yet");
	r = unmount_patiently(&revert->identity, reterr);
	revert->was_busy = r == -EBUSY;
	if (revert->was_busy)
		r = unmount_busy(revert, reterr);
	return r;
}

/* ---- asking, and waiting ---- */

/* What to say where the export does not say who it is. */
static int no_answer(const struct revert *revert, int r, struct imgfmt_error *reterr)
{
	const struct mount_entry *entry = &revert->entry;
	_cleanup_mount_entry_ struct mount_entry found = { 0 };

	if (r == -ETIMEDOUT)
		return imgfmt_error_set(
			reterr, r,
			"is a mount of the user with the id %u, whose server has not answered for "
			"%d s; still mounted (umount -l takes it away, whatever becomes of the "
			"image)",
			(unsigned int)entry->user, INQUIRY_TIMEOUT);
	if (r != -ENOENT)
		return imgfmt_error_set(reterr, r,
					"cannot ask its server who it is (%s); still mounted",
					strerror(-r));
	if (mountinfo_find_identity(&revert->identity, &found) == 0)
		return imgfmt_error_set(reterr, -EEXIST, "another mount lies over it");
	return imgfmt_error_set(reterr, r,
				"has just been unmounted by somebody else; whether the image is "
				"final yet is not known");
}

/* Unmounted, but its end cannot be waited for. */
static int not_waited_for(const struct revert *revert, int r, struct imgfmt_error *reterr)
{
	const char *why =
		r == -EPROTO ?
			"it is one of another version of imgfuse, whose end cannot be waited "
			"for" :
		r == -EXDEV ? "its server runs in another PID namespace, where its end cannot be "
			      "waited for" :
		r == -EPERM ? "it calls processes of another user its own, so that its end cannot "
			      "be waited for" :
		r == -EBADF ? "the processes that it calls its own say nothing of it, so that its "
			      "end cannot be waited for" :
			      "its server has gone without a word";
	char whose[64] = "";

	if (is_strangers(&revert->entry))
		snprintf(whose, sizeof(whose), " a mount of the user with the id %u",
			 (unsigned int)revert->entry.user);
	return imgfmt_error_set(reterr, r, "unmounted%s, but %s", whose, why);
}

/* End one export, whose processes are known while it is mounted. */
static int end_export(struct revert *revert, struct imgfmt_error *reterr)
{
	struct identity identity;
	int known, r;

	interruption_means(revert->entry.target, "it is still mounted");
	r = inquire(&revert->entry, &identity);
	if (r == -ENOTCONN)
		return remove_dead(revert, reterr);
	if (r < 0)
		return no_answer(revert, r, reterr);
	known = ending_open(&revert->ending, &revert->entry, &identity);
	r = unmount_export(revert, reterr);
	if (r < 0)
		return r;
	if (known < 0)
		return not_waited_for(revert, known, reterr);
	r = look_elsewhere(revert, reterr);
	if (r < 0)
		return r;
	interruption_means(revert->entry.target,
			   "it is unmounted, but was still in use or not final yet");
	return ending_wait(&revert->ending, revert->was_busy ? -1 : SERVER_TIMEOUT,
			   revert->entry.target, reterr);
}

/* End the uppermost export at @target. Returns 1 where that is to be looked for again. */
static int revert_uppermost(const char *target, bool lazy, struct imgfmt_error *reterr)
{
	CLEANUP(revert_finish) struct revert revert = { .ending = ENDING_NONE, .lazy = lazy };
	int r;

	r = find_export(target, &revert.entry, reterr);
	if (r < 0)
		return r;
	if (is_cover(&revert.entry)) {
		r = unmount_cover(target, reterr);
		/* it has gone, or there is another one */
		return r < 0 && r != -ENOENT && r != -EEXIST ? r : 1;
	}
	r = mount_identity_init(&revert.identity, &revert.entry);
	if (r == -ENOENT)
		return 1;
	return r < 0 ? imgfmt_error_set(reterr, r, "%s", strerror(-r)) :
		       end_export(&revert, reterr);
}

int revert_export(const char *path, bool lazy, struct imgfmt_error *reterr)
{
	_cleanup_free_ char *target = NULL;
	struct inherited inherited;
	int r;

	/* we may have the export open ourselves, from a caller who has */
	if (inherited_note(&inherited) == 0)
		inherited_close(&inherited, NULL, 0);
	r = resolve_path(path, &target);
	if (r < 0)
		return imgfmt_error_set(reterr, r, "%s", strerror(-r));
	for (int attempt = 0; attempt < COVERS_MAX; attempt++) {
		r = revert_uppermost(target, lazy, reterr);
		if (r <= 0)
			return r;
	}
	return imgfmt_error_set(reterr, -EBUSY, "other mounts lie over it, or come and go there");
}
