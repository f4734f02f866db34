#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A MOUNTPOINT that does not exist, is not a regular file, or is an export already: one line
# that says which, status 1, and nothing has changed.
. "$(dirname "$0")/lib.sh"

make_disk
cp disk.qcow2 other.qcow2
cp disk.qcow2 before.qcow2
mkdir directory
mkfifo fifo
: >mountpoint
expect_failure 1 "nowhere.*does not exist" "$IMGFUSE" disk.qcow2 nowhere
expect_failure 1 "directory.*not a regular file" "$IMGFUSE" disk.qcow2 directory
expect_failure 1 "fifo.*not a regular file" "$IMGFUSE" disk.qcow2 fifo
expect_failure 1 "/dev/null.*not a regular file" "$IMGFUSE" disk.qcow2 /dev/null
cmp disk.qcow2 before.qcow2

start_export disk.qcow2 mountpoint
expect_failure 1 "mountpoint.*export already" "$IMGFUSE" other.qcow2 mountpoint
cmp mountpoint plain.raw
stop_export
expect_not_mounted mountpoint
