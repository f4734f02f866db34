#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A disk that was detected as raw: a write that would let its first sector be detected as another
# format is refused with EPERM, at the latest at fsync or close, and logged once; everything
# else may be written; --format=raw lifts it.
. "$(dirname "$0")/lib.sh"

make_disk
head -c 65536 disk.qcow2 >header
head -c 512 /dev/zero | tr '\0' 'M' >boot-sector

# Ends with the name of the error, if any, of writing a file over the beginning of the disk.
write_first() # IMAGE FILE
{
	python3 - "$@" <<'END'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    os.pwrite(fd, open(sys.argv[2], "rb").read(), 0)
    os.fsync(fd)
    os.close(fd)
    print("nothing")
except OSError as error:
    print(errno.errorcode[error.errno])
END
}

for cache in writeback writethrough none; do
	cp plain.raw image
	start_export --cache=$cache image
	expect_equal "error with --cache=$cache" "$(write_first image header)" EPERM
	expect_equal "error with --cache=$cache" "$(write_first image header)" EPERM
	expect_equal "error of a boot sector" "$(write_first image boot-sector)" nothing
	expect_equal "how often it was logged" "$(grep -c -- '--format=raw' "$log")" 1
	stop_export
	expect_equal "format" "$(format_of image)" raw
	expect_equal "its beginning" "$(head -c 512 image)" "$(cat boot-sector)"

	cp plain.raw image
	start_export --cache=$cache image
	# Only at close, and only with the second half of the header.
	expect_some_failure python3 -c '
import os
fd = os.open("image", os.O_RDWR)
os.pwrite(fd, open("header", "rb").read()[4:], 4)
os.pwrite(fd, b"QFI\xfb", 0)
os.close(fd)'
	stop_export
	expect_equal "format" "$(format_of image)" raw

	cp plain.raw image
	start_export --format=raw --cache=$cache image
	expect_equal "error with --format=raw" "$(write_first image header)" nothing
	stop_export
	expect_equal "format" "$(format_of image)" qcow2
done

# A disk inside a qcow2 image may begin with anything.
start_export disk.qcow2
expect_equal "error in a qcow2 image" "$(write_first disk.qcow2 header)" nothing
stop_export
expect_clean_check disk.qcow2
