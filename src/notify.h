/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling a service manager how far we are, as sd_notify(3) does.
 */
#pragma once

/*
 * Send @state, lines of NAME=VALUE, to the socket that the environment names (NOTIFY_SOCKET). Does
 * nothing where it names none.
 */
void notify(const char *state);
