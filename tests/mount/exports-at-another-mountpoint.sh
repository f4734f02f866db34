#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With a MOUNTPOINT the disk appears there, and the image's path stays what it is.
. "$(dirname "$0")/lib.sh"

make_disk
echo "what lies under the mount" >mountpoint
start_export disk.qcow2 mountpoint
expect_mounted mountpoint
expect_not_mounted disk.qcow2
cmp mountpoint plain.raw
expect_equal "format of the image's path" "$(format_of disk.qcow2)" qcow2
pattern block 65536
dd if=block of=mountpoint bs=64K seek=100 conv=notrunc status=none
dd if=block of=plain.raw bs=64K seek=100 conv=notrunc status=none
stop_export
expect_equal "the file under the mount" "$(cat mountpoint)" "what lies under the mount"
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
