/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A memfd(2) of a fixed size, which is not read beyond its first NUL; see lastwords.h. */
#include "lastwords.h"

#include "cleanup.h"
#include "log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In bytes. What does not fit is lost: the first that is printed says most. */
#define SIZE      4096
#define MAX_LINES 20

int lastwords_create(void)
{
	_cleanup_close_ int fd = memfd_create("last words", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* nor is it ever taken for an outcome, which has no seals but that there will be none */
	if (fd < 0 || ftruncate(fd, SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	return steal_fd(&fd);
}

void lastwords_say(int fd, const char *name, bool failed)
{
	char text[SIZE + 1], *rest = text, *line;
	ssize_t length = pread(fd, text, SIZE, 0);

	text[length > 0 ? length : 0] = '\0';
	for (unsigned int i = 0; i < MAX_LINES && (line = strsep(&rest, "\n")); i++)
		if (*line && failed)
			log_error("%s: the server: %s", name, line);
		else if (*line)
			log_warning("%s: the server: %s", name, line);
}
