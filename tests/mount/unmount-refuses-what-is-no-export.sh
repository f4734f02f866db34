#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# imgfuse --unmount of what is not there, not mounted, in use, or somebody else's mount.
. "$(dirname "$0")/lib.sh"

make_disk
expect_failure 1 "missing" "$IMGFUSE" --unmount missing
expect_failure 1 "disk.qcow2.*not an export" "$IMGFUSE" -u disk.qcow2
expect_failure 1 "/proc.* proc" "$IMGFUSE" -u /proc
start_export disk.qcow2
exec 7<disk.qcow2
expect_failure 1 "disk.qcow2.*in use" "$IMGFUSE" -u disk.qcow2
cmp disk.qcow2 plain.raw
kill -INT "$server"
wait_for_log 'in use; detached'
expect_failure 1 "disk.qcow2.*not an export.*open for writing" "$IMGFUSE" -u disk.qcow2
exec 7>&-
expect_server_exit 0
: >mountpoint
start_export disk.qcow2 mountpoint
expect_failure 1 "disk.qcow2.*the image of one: imgfuse -u $PWD/mountpoint$" "$IMGFUSE" -u disk.qcow2
"$IMGFUSE" -u mountpoint
expect_server_exit 0
