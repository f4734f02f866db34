#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fallocate -z: every byte of the range reads as zero. It keeps the size, or fails where it would
# grow the disk without --growable.
. "$(dirname "$0")/lib.sh"

zero_both() # IMAGE WANTED OFFSET LENGTH
{
	fallocate -z -o "$3" -l "$4" "$1"
	fallocate -z -o "$3" -l "$4" "$2"
	cmp "$1" "$2" || fail "zeroing $4 bytes at $3"
}

pattern plain.raw $((16 << 20))
qemu-img convert -f raw -O qcow2 plain.raw disk.qcow2
qemu-img convert -f raw -O qcow2 -c plain.raw compressed.qcow2
qemu-img convert -f raw -O qcow2 -o compat=0.10 plain.raw version2.qcow2
qemu-img create -q -f qcow2 -b plain.raw -F raw overlay.qcow2
cp plain.raw raw.raw
for image in disk.qcow2 compressed.qcow2 version2.qcow2 overlay.qcow2 raw.raw; do
	cp plain.raw wanted
	start_export $image
	zero_both $image wanted 0 1
	zero_both $image wanted 65000 1000
	zero_both $image wanted 2000001 3000000
	zero_both $image wanted 8M 4M
	zero_both $image wanted 16777000 216
	fallocate -n -z -o 15M -l 5M $image
	fallocate -z -o 15M -l 1M wanted
	expect_some_failure fallocate -z -o 15M -l 5M $image
	expect_match "what fallocate said" "$(cat "$scratch/failure")" "No space left"
	expect_equal "size" "$(size_of $image)" $((16 << 20))
	cmp $image wanted
	stop_export
	expect_content $image wanted
	[ $image = raw.raw ] || expect_clean_check $image
done
