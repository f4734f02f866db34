/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host files of a fuzz target: what hostfile.h declares, over memory. The linker takes it in
 * place of the library's own.
 *
 * It counts what the library asks for, so that a call that takes too long is found by a number and
 * not by the clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum host_file {
	HOST_IMAGE,
	HOST_BACKING,
	HOST_DATA,
	HOST_FILES,
};

/* Empty all files, and forget faults. */
void host_reset(void);

void host_put(enum host_file file, const void *bytes, size_t count, uint64_t offset);
void host_get(enum host_file file, void *bytes, size_t count, uint64_t offset);
void host_resize(enum host_file file, uint64_t size);
uint64_t host_size(enum host_file file);

/* A number that hostfile_create() takes for a descriptor of the file. */
int host_open(enum host_file file);

/* The @nth change or sync from now on, counted from 1, fails with -EIO; 0: none does. */
void host_fail_at(unsigned int nth);

/* Has that ever happened, since host_reset()? A sync that failed once does so for ever. */
bool host_has_failed(void);

/* Reads, writes and syncs since the last time it was asked, and 4 KiB of them for one more. */
uint64_t host_work(void);

/*
 * Is the library being called? Memory that the program itself takes is never refused to it; see
 * exhaust.c.
 */
extern bool host_in_call;

/* Was any refused? */
extern bool host_memory_refused;

/* No call of the library may take more work than this, whatever the image. */
#define HOST_MAX_WORK 400000

void host_end_call(void);

/* Call the library: CALL(imgfmt_flush(image)). */
#define CALL(expression)                                       \
	({                                                     \
		host_in_call = true;                           \
		__typeof__(expression) result_ = (expression); \
		host_end_call();                               \
		result_;                                       \
	})
