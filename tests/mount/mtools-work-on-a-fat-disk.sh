#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# mtools make a FAT file system in the export, put files there and read them again.
. "$(dirname "$0")/lib.sh"
requires mformat mcopy mdir mdel

qemu-img create -q -f qcow2 disk.qcow2 64M
pattern file 3000000 file
pattern second 1000000 second
start_export disk.qcow2
mformat -i disk.qcow2 -F -T 131072 ::
mcopy -i disk.qcow2 file ::one
mcopy -i disk.qcow2 second ::two
mdel -i disk.qcow2 ::one
mcopy -i disk.qcow2 file ::three
mcopy -n -i disk.qcow2 ::three copy
cmp copy file
stop_export
expect_clean_check disk.qcow2
qemu-img convert -O raw disk.qcow2 plain.raw
mcopy -n -o -i plain.raw ::two copy
cmp copy second
mcopy -n -o -i plain.raw ::three copy
cmp copy file
