/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Release at the end of a scope, and handing over what must outlive it.
 *
 * _cleanup_free_, _cleanup_close_ and _cleanup_fclose_ cover memory, descriptors and streams;
 * DEFINE_CLEANUP makes the same for other types from their destroy function. steal_ptr() and
 * steal_fd() empty the variable, so that the scope no longer owns the value.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void free_pointee(void *pointer)
{
	free(*(void **)pointer);
}

static inline void close_pointee(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void fclose_pointee(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_   CLEANUP(free_pointee)
#define _cleanup_close_  CLEANUP(close_pointee)
#define _cleanup_fclose_ CLEANUP(fclose_pointee)

/* Define void NAME(TYPE **), which calls DESTROY where the pointer is not NULL. */
#define DEFINE_CLEANUP(type, name, destroy)     \
	static inline void name(type **pointer) \
	{                                       \
		if (*pointer)                   \
			destroy(*pointer);      \
	}                                       \
	struct cleanup_semicolon_

#define steal_ptr(pointer)                               \
	({                                               \
		__typeof__(pointer) stolen_ = (pointer); \
		(pointer) = NULL;                        \
		stolen_;                                 \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
