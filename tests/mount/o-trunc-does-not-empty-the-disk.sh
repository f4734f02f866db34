#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# As on a block device: "> disk", and dd and cp without conv=notrunc, leave the size alone, and
# what they do not write.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
for cache in writeback writethrough none; do
	cp disk.qcow2 image
	cp plain.raw wanted
	start_export --cache=$cache image
	: >image
	expect_equal "size after > with --cache=$cache" "$(size_of image)" $((16 << 20))
	cmp image wanted
	dd if=block of=image bs=1M status=none
	dd if=block of=wanted bs=1M conv=notrunc status=none
	expect_equal "size after dd with --cache=$cache" "$(size_of image)" $((16 << 20))
	cmp image wanted
	# While somebody else has it open, who wrote before and after.
	python3 - <<'END'
import os
fd = os.open("image", os.O_RDWR)
os.pwrite(fd, b"before" * 1000, 2 << 20)
os.close(os.open("image", os.O_RDWR | os.O_TRUNC | os.O_CREAT))
assert os.fstat(fd).st_size == 16 << 20, os.fstat(fd).st_size
os.pwrite(fd, b"after" * 1000, 3 << 20)
os.close(fd)
with open("wanted", "r+b") as f:
    f.seek(2 << 20)
    f.write(b"before" * 1000)
    f.seek(3 << 20)
    f.write(b"after" * 1000)
END
	cmp image wanted
	cp block image
	expect_equal "size after cp with --cache=$cache" "$(size_of image)" $((16 << 20))
	# truncate(2) to 0 is what O_TRUNC looks like.
	python3 -c 'import os; os.truncate("image", 0)'
	expect_equal "size after truncate with --cache=$cache" "$(size_of image)" $((16 << 20))
	stop_export
	expect_content image wanted
	expect_clean_check image
done
