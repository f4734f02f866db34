/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the kernel's table of mounts, line by line, as proc_pid_mountinfo(5) describes it.
 */
#include "mountinfo.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* From Linux 6.8 on; the C library's headers may be older. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

void mount_entry_finish(struct mount_entry *entry)
{
	free(entry->target);
	free(entry->type);
	free(entry->source);
	*entry = (struct mount_entry){ 0 };
}

bool mount_entry_is_ours(const struct mount_entry *entry)
{
	return strcmp(entry->type, MOUNT_TYPE) == 0;
}

bool mount_entry_is_strangers(const struct mount_entry *entry)
{
	return strncmp(entry->type, "fuse", strlen("fuse")) == 0 && entry->user != geteuid();
}

/* Undo the \ooo escapes of the kernel, in place. */
static char *unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; out++) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' &&
		    in[3] >= '0' && in[3] <= '7') {
			*out = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
	return text;
}

/* The number behind @key in the comma-separated @options, or 0. */
static unsigned int option_number(const char *options, const char *key)
{
	const char *found = strstr(options, key);

	return found ? (unsigned int)strtoul(found + strlen(key), NULL, 10) : 0;
}

/* Split one line, which is changed. The strings of *ret point into it. False if it is none. */
static bool parse_line(char *line, struct mount_entry *ret)
{
	unsigned int major, minor;
	char *words[6], *rest = line, *type, *source, *options;

	/* id, parent, major:minor, root, target, options, then optional fields up to a dash */
	for (unsigned int i = 0; i < 6; i++) {
		words[i] = strsep(&rest, " ");
		if (!rest)
			return false;
	}
	do {
		type = strsep(&rest, " ");
	} while (rest && strcmp(type, "-") != 0);
	type = strsep(&rest, " ");
	source = strsep(&rest, " ");
	options = strsep(&rest, "\n");
	if (!options || sscanf(words[2], "%u:%u", &major, &minor) != 2)
		return false;
	*ret = (struct mount_entry){
		.id = strtoul(words[0], NULL, 10),
		.device = makedev(major, minor),
		.user = option_number(options, "user_id="),
		.group = option_number(options, "group_id="),
		.target = unescape(words[4]),
		.type = unescape(type),
		.source = unescape(source),
	};
	return true;
}

/* Make an entry of our own from one whose strings will go away. */
static int copy_entry(const struct mount_entry *entry, struct mount_entry *ret)
{
	_cleanup_mount_entry_ struct mount_entry copy = *entry;

	copy.target = strdup(entry->target);
	copy.type = strdup(entry->type);
	copy.source = strdup(entry->source);
	if (!copy.target || !copy.type || !copy.source)
		return -ENOMEM;
	mount_entry_finish(ret);
	*ret = copy;
	copy = (struct mount_entry){ 0 };
	return 0;
}

/* What to look for: the members that are set. */
struct wanted {
	const char *target;              /* the last one there; */
	unsigned long number;            /* with that or with a device: which has this number */
	const struct mount_entry *below; /* or of exports the last one that is not this */
	const char *source;              /* or the first export with it */
	dev_t device;                    /* or the first one of it */
	const struct mount_identity *identity;
};

/* What the kernel says of the mount that a path leads to, at one moment. */
struct sight {
	dev_t device;
	uint64_t id;
	uint64_t unique; /* or 0 */
};

static int open_quietly(int directory_fd, const char *name)
{
	int fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * Look at the mount that a name leads to: all by one descriptor, as a moment later it may lead to
 * another one. Its file system, which may not let us in, is asked nothing: to be asked for nothing
 * it answers with its device. Returns 0 or -errno.
 */
static int look_by(int fd, struct sight *ret)
{
	const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx stx;

	if (statx(fd, "", flags, 0, &stx) < 0)
		return -errno;
	*ret = (struct sight){
		.device = makedev(stx.stx_dev_major, stx.stx_dev_minor),
		.id = stx.stx_mnt_id,
	};
	if (statx(fd, "", flags, STATX_MNT_ID_UNIQUE, &stx) == 0 &&
	    stx.stx_mask & STATX_MNT_ID_UNIQUE)
		ret->unique = stx.stx_mnt_id;
	return 0;
}

static int look(int directory_fd, const char *name, struct sight *ret)
{
	_cleanup_close_ int fd = open_quietly(directory_fd, name);

	return fd < 0 ? fd : look_by(fd, ret);
}

/*
 * The kernel's number of the uppermost mount at a path, or 0. The last one that is listed need not
 * be it: a mount has its number before it has its place, and can be moved.
 */
static unsigned long uppermost(const char *target)
{
	struct sight sight;

	return look(AT_FDCWD, target, &sight) == 0 ? (unsigned long)sight.id : 0;
}

static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/* As far as both have the number that is never given twice, that decides. */
static bool agrees(const struct mount_identity *identity, const struct sight *sight)
{
	return sight->device == identity->device &&
	       (identity->unique == 0 || sight->unique == 0 || sight->unique == identity->unique);
}

/* Is anything mounted at @path, which leads into the directory @directory_fd? */
static bool has_mount(int directory_fd, const char *path)
{
	struct sight own, sight;

	return look_by(directory_fd, &own) == 0 && look(AT_FDCWD, path, &sight) == 0 &&
	       sight.id != own.id;
}

char *mount_identity_path(const struct mount_identity *identity, const struct mount_entry *entry)
{
	_cleanup_free_ char *path = NULL;
	const char *name = strrchr(entry->target, '/');

	if (identity->directory_fd <= 0 || !name)
		return strdup(entry->target);
	if (asprintf(&path, "/proc/thread-self/fd/%d%s", identity->directory_fd, name) < 0) {
		path = NULL;
		return NULL;
	}
	/* or it was moved, or this is a copy at another place */
	return has_mount(identity->directory_fd, path) ? steal_ptr(path) : strdup(entry->target);
}

/* Of what is covered the kernel does not say the number. */
static bool is_identical(const struct mount_identity *identity, struct mount_entry *entry)
{
	_cleanup_free_ char *path = NULL;
	struct sight sight = { 0 };
	int r;

	if (entry->device != identity->device || strcmp(entry->source, identity->source) != 0)
		return false;
	path = mount_identity_path(identity, entry);
	r = path ? look(AT_FDCWD, path, &sight) : -ENOMEM;
	/* there it is, and this is a copy at another place */
	if (r == 0 && sight.id != entry->id && identity->unique != 0 &&
	    sight.unique == identity->unique)
		return false;
	entry->covered = r == 0 ? sight.id != entry->id : is_absent(r);
	/* where we may not look it is the one that it was when we could */
	if (r < 0 && !entry->covered)
		return entry->id == identity->id;
	return identity->unique == 0 || entry->covered || agrees(identity, &sight);
}

bool mount_identity_is_at(const struct mount_identity *identity, int directory_fd, const char *name)
{
	struct sight sight;
	int r = look(directory_fd, name, &sight);

	return r == 0 ? agrees(identity, &sight) : !is_absent(r);
}

static bool is_wanted(const struct wanted *wanted, struct mount_entry *entry)
{
	if (wanted->identity)
		return is_identical(wanted->identity, entry);
	if (wanted->below && (entry->id == wanted->below->id || !mount_entry_is_ours(entry)))
		return false;
	if (wanted->target)
		return strcmp(entry->target, wanted->target) == 0 &&
		       (wanted->number == 0 || entry->id == wanted->number);
	if (wanted->source)
		return mount_entry_is_ours(entry) && strcmp(entry->source, wanted->source) == 0;
	return entry->device == wanted->device &&
	       (wanted->number == 0 || entry->id == wanted->number);
}

static int find(const struct wanted *wanted, struct mount_entry *ret)
{
	_cleanup_mount_entry_ struct mount_entry found = { 0 };
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	int r;

	/* that there is no such file says nothing of the mount */
	if (!file)
		return errno == ENOENT ? -EIO : -errno;
	while (getline(&line, &capacity, file) > 0) {
		struct mount_entry entry;

		if (!parse_line(line, &entry))
			continue;
		if (!is_wanted(wanted, &entry))
			continue;
		r = copy_entry(&entry, &found);
		if (r < 0)
			return r;
		if (!wanted->target)
			break;
	}
	if (ferror(file))
		return -EIO;
	if (!found.target)
		return -ENOENT;
	*ret = found;
	found = (struct mount_entry){ 0 };
	return 0;
}

int mountinfo_find_target(const char *target, struct mount_entry *ret)
{
	const struct wanted wanted = { .target = target, .number = uppermost(target) };
	int r = find(&wanted, ret);

	/* only for a moment can that be another one's: nothing is mounted there, or it was moved */
	return r == -ENOENT ? find(&(struct wanted){ .target = target }, ret) : r;
}

int mountinfo_find_export(const char *image, struct mount_entry *ret)
{
	return find(&(struct wanted){ .source = image }, ret);
}

int mountinfo_find_device(dev_t device, struct mount_entry *ret)
{
	return find(&(struct wanted){ .device = device }, ret);
}

bool mountinfo_is_listed(const struct mount_entry *entry)
{
	const struct wanted wanted = { .number = entry->id, .device = entry->device };
	_cleanup_mount_entry_ struct mount_entry found = { 0 };

	return find(&wanted, &found) != -ENOENT;
}

bool mountinfo_hides_export(const struct mount_entry *entry)
{
	const struct wanted wanted = { .target = entry->target, .below = entry };
	_cleanup_mount_entry_ struct mount_entry other = { 0 };

	return find(&wanted, &other) == 0;
}

bool mountinfo_is_export(dev_t device)
{
	_cleanup_mount_entry_ struct mount_entry entry = { 0 };

	return mountinfo_find_device(device, &entry) == 0 && mount_entry_is_ours(&entry);
}

int mountinfo_find_identity(const struct mount_identity *identity, struct mount_entry *ret)
{
	return find(&(struct wanted){ .identity = identity }, ret);
}

int mountinfo_open_uppermost(const char *path, struct mount_entry *ret)
{
	_cleanup_close_ int fd = open_quietly(AT_FDCWD, path);
	struct sight sight;
	int r = fd < 0 ? fd : look_by(fd, &sight);

	if (r == 0)
		r = find(&(struct wanted){ .number = sight.id, .device = sight.device }, ret);
	return r < 0 ? r : steal_fd(&fd);
}

int mountinfo_open(const char *path, dev_t device, int flags)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	char link[64];
	int r;

	/* this also makes the kernel ask for the attributes */
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != device)
		return -ENOENT;
	if (flags & O_PATH)
		return steal_fd(&fd);
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	r = open(link, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return r < 0 ? -errno : r;
}

int mount_identity_init(struct mount_identity *identity, const struct mount_entry *entry)
{
	struct sight sight = { .device = entry->device };
	int r = look(AT_FDCWD, entry->target, &sight);

	/* where we may not look all that is known is what is listed */
	if (is_absent(r) || sight.device != entry->device)
		return -ENOENT;
	*identity = (struct mount_identity){
		.device = entry->device,
		.id = entry->id,
		.unique = sight.unique,
		.source = strdup(entry->source),
	};
	return identity->source ? 0 : -ENOMEM;
}

int mount_identity_of(struct mount_identity *identity, int mount_fd, const char *source)
{
	struct statx stx;

	/* nobody serves it yet: nothing may be asked of it */
	if (statx(mount_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID_UNIQUE, &stx) < 0)
		return -errno;
	*identity = (struct mount_identity){
		.device = makedev(stx.stx_dev_major, stx.stx_dev_minor),
		.unique = stx.stx_mask & STATX_MNT_ID_UNIQUE ? stx.stx_mnt_id : 0,
		.source = strdup(source),
	};
	return identity->source ? 0 : -ENOMEM;
}

void mount_identity_finish(struct mount_identity *identity)
{
	free(identity->source);
	*identity = (struct mount_identity){ 0 };
}

int resolve_path(const char *path, char **ret)
{
	_cleanup_free_ char *copy = NULL, *directory = NULL;
	const char *base, *parent;
	char *slash;
	int r;

	*ret = realpath(path, NULL);
	if (*ret)
		return 0;
	r = -errno;
	if (r != -ENOTCONN && r != -EACCES && r != -EIO)
		return r;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	slash = strrchr(copy, '/');
	base = slash ? slash + 1 : copy;
	parent = !slash ? "." : slash == copy ? "/" : copy;
	if (slash)
		*slash = '\0';
	if (!*base)
		return r;
	directory = realpath(parent, NULL);
	if (!directory)
		return -errno;
	if (asprintf(ret, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, base) < 0)
		return -ENOMEM;
	return 0;
}
