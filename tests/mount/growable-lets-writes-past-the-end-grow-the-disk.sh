#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With --growable: the disk grows to what is written, qcow2 to a multiple of 512; what lies
# between reads as zeroes; fallocate grows it too.
. "$(dirname "$0")/lib.sh"
requires jq

make_disk
pattern block 100000
for cache in writeback writethrough none; do
	for format in qcow2 raw; do
		image=image.$format
		cp disk.qcow2 image.qcow2
		cp plain.raw image.raw
		cp plain.raw wanted
		start_export --growable --cache=$cache $image
		for at in 20000000 30000001; do
			dd if=block of=$image bs=100000 seek=$at oflag=seek_bytes conv=notrunc status=none
			dd if=block of=wanted bs=100000 seek=$at oflag=seek_bytes conv=notrunc status=none
			[ $format = raw ] || truncate -s %512 wanted
			expect_equal "size with --cache=$cache" "$(size_of $image)" "$(size_of wanted)"
			cmp $image wanted
		done
		fallocate -l 34M $image
		fallocate -l 34M wanted
		expect_equal "size after fallocate" "$(size_of $image)" $((34 << 20))
		cmp $image wanted
		stop_export
		expect_content $image wanted
		expect_equal "virtual size" "$("$IMGFUSE" --info --json $image | jq '."virtual-size"')" \
			$((34 << 20))
	done
	expect_clean_check image.qcow2
	cmp image.raw wanted
done

# Who copies by holes does not lose an end that only the kernel's cache has so far.
start_export --growable disk.qcow2
python3 - <<'END'
import os
writer = os.open("disk.qcow2", os.O_RDWR)
end = os.fstat(writer).st_size
os.pwrite(writer, b"x" * 8192, end)
reader = os.open("disk.qcow2", os.O_RDONLY)
assert os.lseek(reader, end, os.SEEK_DATA) == end
assert os.lseek(reader, end, os.SEEK_HOLE) == end + 8192
END
stop_export
