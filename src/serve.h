/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a mounted session as the server's main thread sees it: it asks the helper for
 * corrections, says when the export is usable, and waits for the end.
 */
#pragma once

#include "session.h"

/*
 * Serve @session, which is mounted, until it has ended, and finish it. @channel leads to the
 * supervisor, who is told @description once the export is usable. See session_start() for @sandbox.
 *
 * Returns 0 after a clean end, otherwise a negative errno after an error was logged.
 */
int serve(struct session *session, int channel, const char *description, bool sandbox);
