#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libfuse knows where fusermount3 is, though PATH does not lead there: an ordinary user can mount.
# So he can unmount, too, by a signal and by imgfuse -u.
. "$(dirname "$0")/lib.sh"

make_disk
become_users_directory
launch ${user[@]+"${user[@]}"} env PATH=/nowhere "$IMGFUSE" disk.qcow2
stop_export
expect_not_mounted disk.qcow2
launch ${user[@]+"${user[@]}"} env PATH=/nowhere "$IMGFUSE" disk.qcow2
as_user env PATH=/nowhere "$IMGFUSE" -u disk.qcow2
expect_server_exit 0
expect_content disk.qcow2 plain.raw
