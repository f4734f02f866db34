#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Without --growable: what lies inside the disk is written, ENOSPC for the rest: at the write, or
# under the write-back cache at fsync or close. The size stays the disk's, or, where the kernel
# believed otherwise for a moment, becomes it again.
. "$(dirname "$0")/lib.sh"
requires jq

make_disk
qemu-img convert -f qcow2 -O raw disk.qcow2 raw.raw
for image in disk.qcow2 raw.raw; do
	for cache in writeback writethrough none; do
		for write in outside half close; do
			start_export --cache=$cache $image
			python3 - $image $cache $write <<'END'
import errno, os, sys, time

image, cache, write = sys.argv[1:]
size = 16 << 20

def expect_enospc(*steps):
    for step in steps:
        try:
            step()
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return
    raise AssertionError("no error")

def expect_size(fd):
    """The kernel's size is put right when nobody writes any more, and nothing tells when."""
    deadline = time.monotonic() + 60
    while os.fstat(fd).st_size != size:
        assert cache == "writeback" and time.monotonic() < deadline, os.fstat(fd).st_size
        os.sched_yield()

fd = os.open(image, os.O_RDWR)
if write == "outside":
    expect_enospc(lambda: os.pwrite(fd, b"x" * 4096, size), lambda: os.fsync(fd))
    os.close(fd)
elif write == "half":
    expect_enospc(lambda: os.pwrite(fd, b"y" * 8192, size - 4096),
                  lambda: os.pwrite(fd, b"y" * 4096, size), lambda: os.fsync(fd))
    assert os.pread(fd, 4096, size - 4096) == b"y" * 4096
    os.close(fd)
else:
    expect_enospc(lambda: os.pwrite(fd, b"z" * 4096, size + (1 << 20)), lambda: os.close(fd))
fd = os.open(image, os.O_RDONLY)
expect_size(fd)
assert os.pread(fd, 8192, size - 4096) == os.pread(fd, 4096, size - 4096)
os.close(fd)
END
			expect_equal "size with --cache=$cache" "$(size_of $image)" $((16 << 20))
			stop_export
			# The disk is as long as before.
			expect_equal "virtual size" \
				"$("$IMGFUSE" --info --json $image | jq '."virtual-size"')" $((16 << 20))
		done
	done
	cp plain.raw wanted
	python3 -c 'f = open("wanted", "r+b"); f.seek((16 << 20) - 4096); f.write(b"y" * 4096)'
	expect_content $image wanted
done
expect_clean_check disk.qcow2
expect_equal "size of the file" "$(size_of raw.raw)" $((16 << 20))
