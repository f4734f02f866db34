#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fallocate -p: every byte of the range reads as zero, in clusters that it covers in part too,
# and the host gets back the space of those that it covers.
. "$(dirname "$0")/lib.sh"

# What punching does in place of the same on a plain file.
punch_both() # IMAGE WANTED OFFSET LENGTH
{
	fallocate -p -o "$3" -l "$4" "$1"
	fallocate -p -o "$3" -l "$4" "$2"
	cmp "$1" "$2" || fail "punching $4 bytes at $3"
}

pattern plain.raw $((16 << 20))
qemu-img convert -f raw -O qcow2 plain.raw disk.qcow2
qemu-img convert -f raw -O qcow2 -c plain.raw compressed.qcow2
qemu-img convert -f raw -O qcow2 -o compat=0.10 plain.raw version2.qcow2
qemu-img create -q -f qcow2 -b plain.raw -F raw overlay.qcow2
cp plain.raw raw.raw
for image in disk.qcow2 compressed.qcow2 version2.qcow2 overlay.qcow2 raw.raw; do
	cp plain.raw wanted
	before=$(space_of $image)
	start_export $image
	punch_both $image wanted 100 50
	punch_both $image wanted 65000 1000
	punch_both $image wanted $(((1 << 20) - 1)) 2
	punch_both $image wanted 2000001 3000000
	punch_both $image wanted 8M 4M
	punch_both $image wanted 16777000 216
	# Beyond the end: the size is kept.
	fallocate -p -o 15M -l 5M $image
	fallocate -p -o 15M -l 1M wanted
	expect_equal "size" "$(size_of $image)" $((16 << 20))
	cmp $image wanted
	# A punched hole is free for new data.
	printf 'after' | dd of=$image bs=1 seek=9000000 conv=notrunc status=none
	printf 'after' | dd of=wanted bs=1 seek=9000000 conv=notrunc status=none
	stop_export
	expect_content $image wanted
	[ $image = raw.raw ] || expect_clean_check $image
	if [ $image = disk.qcow2 ] || [ $image = version2.qcow2 ] || [ $image = raw.raw ]; then
		freed=$((before - $(space_of $image)))
		[ $freed -ge $((7 << 20)) ] || fail "$image: of 8 MiB only $freed bytes were freed"
	fi
done
