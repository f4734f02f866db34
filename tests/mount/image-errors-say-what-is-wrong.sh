#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An IMAGE that does not exist, is no file, is damaged, in a format that cannot be read, or an
# export itself: one line that says which, status 1, nothing mounted.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
mkdir directory
mkfifo fifo
expect_failure 1 "nothing.qcow2: No such file" "$IMGFUSE" nothing.qcow2
expect_failure 1 "directory: .*directory" "$IMGFUSE" directory mountpoint
expect_failure 1 "fifo: .*regular file" "$IMGFUSE" fifo mountpoint

cp disk.qcow2 damaged.qcow2
printf '\0\0\0\0\0\x03\0\x01' | dd of=damaged.qcow2 bs=1 seek=40 conv=notrunc status=none
expect_failure 1 "damaged.qcow2: .*L1 table" "$IMGFUSE" damaged.qcow2
cp disk.qcow2 future.qcow2
printf '\x40' | dd of=future.qcow2 bs=1 seek=72 conv=notrunc status=none # incompatible bit 62
expect_failure 1 "future.qcow2: .*feature" "$IMGFUSE" future.qcow2
head -c 60 disk.qcow2 >short.qcow2
expect_failure 1 "short.qcow2: " "$IMGFUSE" -f qcow2 short.qcow2
expect_failure 1 "plain.raw: " "$IMGFUSE" -f qcow2 plain.raw
qemu-img create -q -f vmdk disk.vmdk 1M
expect_failure 1 "disk.vmdk: .*[vV][mM][dD][kK]" "$IMGFUSE" disk.vmdk
qemu-img create -q -f qcow2 -b missing.qcow2 -F qcow2 -u orphan.qcow2 1M
expect_failure 1 "orphan.qcow2: .*missing.qcow2" "$IMGFUSE" orphan.qcow2
for name in *.qcow2 disk.vmdk plain.raw; do expect_not_mounted "$name"; done

start_export disk.qcow2
expect_failure 1 "disk.qcow2: .*export" "$IMGFUSE" disk.qcow2 mountpoint
expect_failure 1 "disk.qcow2: .*export" "$IMGFUSE" disk.qcow2
expect_failure 1 "disk.qcow2: is an export of imgfuse, the raw disk .*: imgfuse -u .*disk.qcow2$" \
	"$IMGFUSE" --info disk.qcow2
cmp disk.qcow2 plain.raw
stop_export
expect_not_mounted mountpoint
