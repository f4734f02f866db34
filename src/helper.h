/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper: the process that uses the mount from outside. It sets the size and times that the
 * kernel believes in, unmounts, and syncs. Each of these waits for requests to be answered, so
 * neither the server can do it nor the supervisor, who must stay free for signals.
 *
 * Like the supervisor it parses no image and holds no end of the session. When the supervisor is
 * killed, the helper takes its place.
 */
#pragma once

#include "imgfmt.h"
#include "mountinfo.h"

/*
 * Do what is asked of the mount @identity, called @name in messages, over the channel @fd. Returns
 * when the other end is closed: the supervisor is gone.
 */
void helper_work(int fd, const struct mount_identity *identity, const char *name);

/*
 * Remove our mount, which no server stands behind any more, if the kernel still shows it. Waits for
 * nobody. Returns whether it was there; what goes wrong is logged.
 */
bool helper_remove_dead_mount(const struct mount_identity *identity);
