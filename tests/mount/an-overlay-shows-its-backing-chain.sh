#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A chain of qcow2 and raw files reads as one disk, also where a backing file is shorter than
# its overlay; only the overlay is written.
. "$(dirname "$0")/lib.sh"

make_disk
mkdir bases
mv plain.raw bases/base.raw
truncate -s 10M bases/base.raw # shorter than what lies above
qemu-img create -q -f qcow2 -b base.raw -F raw bases/middle.qcow2 12M
qemu-io -f qcow2 -c 'write -P 3 9M 64k' -c 'write -P 4 11M 1M' bases/middle.qcow2 >/dev/null
qemu-img create -q -f qcow2 -b "$PWD/bases/middle.qcow2" -F qcow2 top.qcow2 16M
qemu-io -f qcow2 -c 'write -P 5 15M 64k' -c 'write -z 0 128k' top.qcow2 >/dev/null
qemu-img convert -O raw top.qcow2 wanted
cp -r bases before

for round in 1 2; do
	start_export top.qcow2
	cmp top.qcow2 wanted
	pattern block 100001 $round
	for at in 300000 9437000 10485000 12582000 15728000; do
		dd if=block of=top.qcow2 bs=100001 seek=$((at + round)) oflag=seek_bytes conv=notrunc status=none
		dd if=block of=wanted bs=100001 seek=$((at + round)) oflag=seek_bytes conv=notrunc status=none
	done
	cmp top.qcow2 wanted
	fallocate -p -o 1M -l 1M top.qcow2
	fallocate -p -o 1M -l 1M wanted
	cmp top.qcow2 wanted
	stop_export
	expect_content top.qcow2 wanted
	expect_clean_check top.qcow2
	diff -r bases before
done

# A file that is missing far below is named with the way to it.
qemu-img create -q -f qcow2 lowest.qcow2 1M
qemu-img create -q -f qcow2 -b lowest.qcow2 -F qcow2 middle.qcow2
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2
rm lowest.qcow2
expect_failure 1 "top.qcow2 -> middle.qcow2: its backing file lowest.qcow2: No such file" "$IMGFUSE" top.qcow2
