/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A second opinion on the checker and on the library's reading: qemu-img's.
 */
#pragma once

#include "judge.h"

/* Is there a qemu-img? */
bool qemu_is_available(void);

/*
 * Compare what qemu-img says of a state with @judgement, which was not a thorough one. Says in
 * @text, of @capacity bytes, where they disagree, and leaves it alone where they do not.
 */
void qemu_compare(const struct memfile *files, const struct judgement *judgement, char *text,
		  size_t capacity);

/*
 * Write the files of a state into a directory, image.qcow2 and what it names. Returns 0 or
 * -errno.
 */
int qemu_save(const struct memfile *files, const char *directory);
