#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The host fails to sync once. Who calls fsync() then is told, and so is everybody after that, though
# the host works again: what was lost does not come back. The end of the export fails, too.
. "$(dirname "$0")/lib.sh"

make_disk
for image in disk.qcow2 plain.raw; do
	for cache in writeback writethrough none; do
		# A write with O_DIRECT to an O_SYNC handle is a sync by itself.
		for sync in fsync o_sync; do
			printf 0 >fault
			launch "${faulty[@]}" "$IMGFUSE" --cache=$cache --format=${image#*.} $image
			python3 - $image $sync <<'END'
import errno, mmap, os, sys

image, how = sys.argv[1:]

def set_fault(byte):
    fd = os.open("fault", os.O_WRONLY)
    os.pwrite(fd, byte, 0)
    os.close(fd)

def change(offset):
    """Write durably, in one way or another. Returns the error, or 0."""
    block = mmap.mmap(-1, 4096)
    block.write(b"a" * 4096)
    fd = os.open(image, os.O_RDWR | (os.O_SYNC if how == "o_sync" else 0))
    try:
        os.pwrite(fd, block, offset)
        if how == "fsync":
            os.fsync(fd)
        return 0
    except OSError as error:
        return error.errno
    finally:
        try:
            os.close(fd)
        except OSError:
            pass

result = change(0x10000)
assert result == 0, os.strerror(result)
set_fault(b"1")
result = change(0x20000)
assert result == errno.EIO, f"while it fails: {os.strerror(result)}"
set_fault(b"0")
for attempt in range(3):
    result = change(0x30000 + attempt * 4096)
    assert result == errno.EIO, f"afterwards, {attempt}: {os.strerror(result)}"
END
			kill -INT "$server"
			expect_server_exit 1
			expect_match "what it said" "$(cat "$log")" "the image is not complete"
			expect_not_mounted $image
		done
	done
done
expect_no_errors disk.qcow2
