/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc/self/fd lists. */
#include "inherited.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static int add(struct inherited *inherited, int fd)
{
	int *fds = reallocarray(inherited->fds, inherited->count + 1, sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	fds[inherited->count++] = fd;
	inherited->fds = fds;
	return 0;
}

int inherited_note(struct inherited *inherited)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int r = 0;

	*inherited = (struct inherited){ 0 };
	if (!directory)
		return -errno;
	while (r == 0 && (entry = readdir(directory))) {
		int fd = atoi(entry->d_name); /* 0 for the dots */

		if (fd > STDERR_FILENO && fd != dirfd(directory))
			r = add(inherited, fd);
	}
	closedir(directory);
	if (r < 0)
		inherited_finish(inherited);
	return r;
}

static bool is_one_of(int fd, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] == fd)
			return true;
	return false;
}

void inherited_close(struct inherited *inherited, const int *keep, size_t keep_count)
{
	for (size_t i = 0; i < inherited->count; i++)
		if (!is_one_of(inherited->fds[i], keep, keep_count))
			close(inherited->fds[i]);
	inherited_finish(inherited);
}

void inherited_finish(struct inherited *inherited)
{
	free(inherited->fds);
	*inherited = (struct inherited){ 0 };
}
