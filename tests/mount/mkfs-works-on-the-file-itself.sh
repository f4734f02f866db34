#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Tools that make and change file systems in plain files do so in the export: mkfs.ext4,
# debugfs -w and e2fsck, as an ordinary user too.
. "$(dirname "$0")/lib.sh"
requires mkfs.ext4 debugfs e2fsck

qemu-img create -q -f qcow2 disk.qcow2 64M
pattern file 3000000
start_export disk.qcow2
mkfs.ext4 -q -F disk.qcow2 2>said || fail "mkfs.ext4: $(cat said)"
debugfs -w -R 'write file name' disk.qcow2 2>said >&2 || fail "debugfs: $(cat said)"
debugfs -w -R 'mkdir directory' disk.qcow2 2>said >&2 || fail "debugfs: $(cat said)"
debugfs -R 'dump name copy' disk.qcow2 2>said || fail "debugfs: $(cat said)"
cmp copy file
e2fsck -fn disk.qcow2 >said 2>&1 || fail "e2fsck: $(cat said)"
stop_export
expect_clean_check disk.qcow2

qemu-img convert -O raw disk.qcow2 plain.raw
e2fsck -fn plain.raw >said 2>&1 || fail "e2fsck on what QEMU reads: $(cat said)"
rm copy
debugfs -R 'dump name copy' plain.raw 2>said || fail "debugfs: $(cat said)"
cmp copy file
# mkfs discards what it can: the image has only what there is.
[ "$(space_of disk.qcow2)" -le $((24 << 20)) ] || fail "the image takes $(space_of disk.qcow2) bytes"
