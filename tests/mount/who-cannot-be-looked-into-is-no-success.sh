#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A user may run imgfuse, but not read it: then nobody but root may look into its processes, where
# imgfuse -u learns how an export has ended. It says that this is why it does not know.
. "$(dirname "$0")/lib.sh"
requires_root

make_disk
become_users_directory
chown 0:0 "$IMGFUSE"
chmod 711 "$IMGFUSE"
start_export_as_user disk.qcow2
expect_failure 1 "disk.qcow2: ended, but how cannot be seen" as_user "$IMGFUSE" -u disk.qcow2
expect_server_exit 0
start_export_as_user disk.qcow2
"$IMGFUSE" -u disk.qcow2
expect_server_exit 0
