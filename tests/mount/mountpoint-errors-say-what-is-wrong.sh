#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A MOUNTPOINT that does not exist, is not a regular file, or is an export already: one line
# that says which, status 1, and nothing has changed. One that was meant as such, but given as the
# IMAGE, is empty, and that is said.
. "$(dirname "$0")/lib.sh"

make_disk
cp disk.qcow2 other.qcow2
cp disk.qcow2 before.qcow2
mkdir directory
mkfifo fifo
: >mountpoint
expect_failure 1 "nowhere.*does not exist" "$IMGFUSE" disk.qcow2 nowhere
expect_failure 1 "directory/: is a directory.*touch $PWD/directory/disk.raw" \
	"$IMGFUSE" disk.qcow2 directory/
expect_failure 1 "fifo.*not a regular file" "$IMGFUSE" disk.qcow2 fifo
expect_failure 1 "/dev/null.*not a regular file" "$IMGFUSE" disk.qcow2 /dev/null
cmp disk.qcow2 before.qcow2

# What is empty is hardly what anybody wants to look at.
start_export mountpoint disk.qcow2
expect_equal "the size" "$(size_of disk.qcow2)" 0
stop_export
expect_match "with both exchanged" "$(cat "$log")" \
	"^imgfuse: warning: mountpoint: is empty.*; IMAGE is the first argument and MOUNTPOINT the second$"
start_export mountpoint
stop_export
expect_match "in place" "$(cat "$log")" "^imgfuse: warning: mountpoint: is empty, and so is the disk$"
start_export --growable mountpoint
stop_export
expect_equal "what grows" "$(cat "$log")" ""
cmp disk.qcow2 before.qcow2

start_export disk.qcow2 mountpoint
expect_failure 1 "mountpoint.*export already" "$IMGFUSE" other.qcow2 mountpoint
expect_failure 1 "disk.qcow2: .*lock.*; it is exported at $PWD/mountpoint, .*: imgfuse -u $PWD/mountpoint$" \
	"$IMGFUSE" disk.qcow2 other.qcow2
expect_failure 1 "disk.qcow2: .*lock.*; it is exported at $PWD/mountpoint" "$IMGFUSE" --info disk.qcow2
cmp mountpoint plain.raw
stop_export
expect_not_mounted mountpoint
