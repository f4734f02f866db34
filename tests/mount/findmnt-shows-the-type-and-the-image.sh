#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# findmnt and mount(8) show the type fuse.imgfuse, and the image's path as the source.
. "$(dirname "$0")/lib.sh"

make_disk
: >"a mount point"
mv disk.qcow2 "a disk.qcow2"
start_export "a disk.qcow2" "a mount point"
expect_equal "type" "$(findmnt -n -o FSTYPE -M "$PWD/a mount point")" fuse.imgfuse
expect_equal "source" "$(findmnt -n -r -o SOURCE -M "$PWD/a mount point")" "$PWD/a\\x20disk.qcow2"
expect_match "mount(8)" "$(mount)" "^$PWD/a disk.qcow2 on $PWD/a mount point type fuse.imgfuse "
stop_export
