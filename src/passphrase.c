/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a passphrase from a file; see passphrase.h. */
#include "passphrase.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Read up to @capacity bytes, from a pipe or a terminal too. Returns how many, or -errno. */
static ssize_t read_all(int fd, char *text, size_t capacity)
{
	size_t length = 0;

	while (length < capacity) {
		ssize_t n = read(fd, text + length, capacity - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (ssize_t)length;
}

static int read_from(struct passphrase *passphrase, int fd, const char *path,
		     struct imgfmt_error *reterr)
{
	ssize_t length = read_all(fd, passphrase->text, sizeof(passphrase->text));

	if (length < 0)
		return imgfmt_error_set(reterr, (int)length, "%s: %s", path,
					strerror((int)-length));
	if (length > 0 && passphrase->text[length - 1] == '\n')
		length--;
	if (length > PASSPHRASE_MAX)
		return imgfmt_error_set(reterr, -EINVAL,
					"%s: a passphrase of more than %d bytes is not supported",
					path, PASSPHRASE_MAX);
	passphrase->text[length] = '\0';
	if (length == 0 || strlen(passphrase->text) != (size_t)length)
		return imgfmt_error_set(reterr, -EINVAL, "%s: %s", path,
					length ? "the passphrase contains a NUL" :
						 "the passphrase is empty");
	return 0;
}

int passphrase_read(struct passphrase *passphrase, const char *path, struct imgfmt_error *reterr)
{
	_cleanup_close_ int fd = -1;

	if (strcmp(path, "-") == 0)
		return read_from(passphrase, STDIN_FILENO, "standard input", reterr);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return imgfmt_error_set(reterr, -errno, "%s: %s", path, strerror(errno));
	return read_from(passphrase, fd, path, reterr);
}

void passphrase_wipe(struct passphrase *passphrase)
{
	explicit_bzero(passphrase, sizeof(*passphrase));
}
