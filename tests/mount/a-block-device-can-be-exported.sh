#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# IMAGE may be a block device, raw or with a qcow2 image on it; it needs a MOUNTPOINT.
. "$(dirname "$0")/lib.sh"
requires_loop_devices

make_disk
cp plain.raw wanted
: >mountpoint
attach_loop plain.raw
expect_failure 1 "$loop.*block device" "$IMGFUSE" "$loop"
start_export "$loop" mountpoint
expect_equal "size" "$(size_of mountpoint)" $((16 << 20))
cmp mountpoint wanted
pattern block 1000001
dd if=block of=mountpoint bs=1000001 seek=5000001 oflag=seek_bytes conv=notrunc status=none
dd if=block of=wanted bs=1000001 seek=5000001 oflag=seek_bytes conv=notrunc status=none
fallocate -p -o 100000 -l 900001 mountpoint
fallocate -p -o 100000 -l 900001 wanted
cmp mountpoint wanted
stop_export
detach_loop "$loop"
cmp plain.raw wanted

# A qcow2 image on a device has a device to grow into.
truncate -s 24M device
dd if=disk.qcow2 of=device conv=notrunc status=none
qemu-img convert -O raw disk.qcow2 wanted
attach_loop device
start_export --format=qcow2 "$loop" mountpoint
cmp mountpoint wanted
dd if=block of=mountpoint bs=1000001 seek=5000001 oflag=seek_bytes conv=notrunc status=none
dd if=block of=wanted bs=1000001 seek=5000001 oflag=seek_bytes conv=notrunc status=none
cmp mountpoint wanted
stop_export
expect_content "$loop" wanted
expect_clean_check "$loop"
detach_loop "$loop"
