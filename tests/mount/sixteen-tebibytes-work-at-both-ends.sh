#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A sparse disk of 16 TiB opens, and is read and written at its beginning and its very end.
. "$(dirname "$0")/lib.sh"

size=$((16 << 40))
qemu-img create -q -f qcow2 disk.qcow2 16T
images=(disk.qcow2)
# Not every host file system goes that far.
if truncate -s 16T raw.raw 2>/dev/null; then images+=(raw.raw); fi
pattern block 100000
for image in "${images[@]}"; do
	for cache in writeback none; do
		start_export --cache=$cache "$image"
		expect_equal "size" "$(size_of "$image")" $size
		python3 - "$image" <<'END'
import os, sys
block = open("block", "rb").read()
fd = os.open(sys.argv[1], os.O_RDWR)
size = 16 << 40
for at in 0, size - len(block), size // 2 - 1000:
    assert os.pwrite(fd, block, at) == len(block)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
for at in 0, size - len(block), size // 2 - 1000:
    assert os.pread(fd, len(block) + 1, at)[:len(block)] == block, at
assert os.pread(fd, 4096, size // 4) == bytes(4096)
os.close(fd)
fd = os.open(sys.argv[1], os.O_RDONLY)
assert os.lseek(fd, 1 << 40, os.SEEK_DATA) <= size // 2 - 1000
assert os.lseek(fd, 1 << 40, os.SEEK_DATA) > size // 2 - 1000 - (1 << 20)
os.close(fd)
END
		stop_export
	done
	[ "$(space_of "$image")" -le $((8 << 20)) ] || fail "$image takes $(space_of "$image") bytes"
done
expect_clean_check disk.qcow2
[ "$(qemu-io -r -f qcow2 -c "read -v $((size - 16)) 16" disk.qcow2 | head -n 1 | cut -d ' ' -f 3-18 | tr -d ' ')" \
	= "$(tail -c 16 block | od -An -tx1 | tr -d ' \n')" ] || fail "QEMU reads something else at the end"
