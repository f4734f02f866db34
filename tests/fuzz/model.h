/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the first part of a disk must read as, by what was done to it. Of some sectors nobody knows:
 * those that an operation failed on, and those that cannot be read.
 */
#pragma once

#include "disk.h"

/* The part of the disk, from its start, that is looked after. */
#define MODEL_WINDOW (UINT64_C(256) << 10)

/* Begin with what the disk reads as. */
void model_begin(struct disk *disk);

/* @count bytes were written at @guest_offset; NULL: zeroes. */
void model_write(const uint8_t *bytes, uint64_t count, uint64_t guest_offset);

/* Anything may be there now. */
void model_forget(uint64_t count, uint64_t guest_offset);

/* The size has changed. What is new is zeroes. */
void model_resize(uint64_t size);

/* Are these the bytes at @guest_offset, as far as one knows? */
bool model_agrees(const uint8_t *bytes, uint64_t count, uint64_t guest_offset);

/* Is every byte of a range known? */
bool model_knows(uint64_t count, uint64_t guest_offset);

/* Read the whole window, and compare. Fails only where nothing is known, or with -ENOMEM. */
void model_compare(struct disk *disk);
