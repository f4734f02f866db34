/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What /proc says of the descriptors and mappings of processes, and /sys of loop devices.
 */
#include "users.h"

#include "cleanup.h"
#include "log.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* A list that grows to the end of its room, and then no more. */
struct description {
	char *text;
	size_t size, length;
};

static void add(struct description *list, const char *item)
{
	int n = snprintf(list->text + list->length, list->size - list->length, "%s%s",
			 list->length ? ", " : "", item);

	if (n > 0 && (size_t)n < list->size - list->length)
		list->length += (size_t)n;
	list->text[list->length] = '\0';
}

static void closedir_pointee(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* Is the descriptor that the file in /proc describes on the mount? */
static bool is_on_mount(const char *path, const struct mount_entry *entry)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	unsigned long id;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "mnt_id: %lu", &id) == 1)
			return id == entry->id;
	return false;
}

/* Has the process a descriptor of something on the mount? */
static bool has_open(const char *pid, const struct mount_entry *entry)
{
	CLEANUP(closedir_pointee) DIR *directory = NULL;
	const struct dirent *fd;
	char path[320];

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	directory = opendir(path);
	while (directory && (fd = readdir(directory))) {
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%.16s", pid, fd->d_name);
		if (is_on_mount(path, entry))
			return true;
	}
	return false;
}

/* Has it mapped something on its file system? */
static bool has_mapped(const char *pid, const struct mount_entry *entry)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	unsigned int major, minor;
	size_t capacity = 0;
	char path[320];

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	file = fopen(path, "re");
	/* addresses, permissions, offset, device */
	while (file && getline(&line, &capacity, file) > 0)
		if (sscanf(line, "%*s %*s %*s %x:%x", &major, &minor) == 2 &&
		    makedev(major, minor) == entry->device)
			return true;
	return false;
}

/* The first line of a file, without its end. */
static bool read_line(const char *path, char *line, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file || !fgets(line, (int)size, file))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

static void add_processes(struct description *list, const struct mount_entry *entry)
{
	CLEANUP(closedir_pointee) DIR *directory = opendir("/proc");
	const struct dirent *process;
	char path[320], name[64], item[128];

	while (directory && (process = readdir(directory))) {
		const char *pid = process->d_name;

		if (!isdigit((unsigned char)*pid) ||
		    (!has_open(pid, entry) && !has_mapped(pid, entry)))
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
		if (!read_line(path, name, sizeof(name)))
			strcpy(name, "?");
		snprintf(item, sizeof(item), "%s (%.16s)", log_printable(name), pid);
		add(list, item);
	}
}

static void add_loop_devices(struct description *list, const struct mount_entry *entry)
{
	CLEANUP(closedir_pointee) DIR *directory = opendir("/sys/block");
	const struct dirent *device;
	char path[320], file[4096], item[64];

	while (directory && (device = readdir(directory))) {
		snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", device->d_name);
		if (!read_line(path, file, sizeof(file)) || strcmp(file, entry->target) != 0)
			continue;
		snprintf(item, sizeof(item), "/dev/%.32s", device->d_name);
		add(list, item);
	}
}

void users_describe(const struct mount_entry *entry, char *text, size_t size)
{
	struct description list = { .text = text, .size = size };

	*text = '\0';
	add_processes(&list, entry);
	add_loop_devices(&list, entry);
}
