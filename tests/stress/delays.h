/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that dawdle: before and after the host does something for them, now and then. What takes
 * a moment otherwise, and is seldom interrupted, then takes as long as others need to do a lot.
 */
#pragma once

/* How often, of a thousand times; 0 is never. Set before there are threads. */
void delays_set(unsigned int chance);
