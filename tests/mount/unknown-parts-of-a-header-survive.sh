#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a later version of qcow2 may add to the header: optional features, extensions and fields that we
# do not know stay as they are, to the byte, whatever is done to the disk. Autoclear bits are cleared,
# but not before something is written. Features that one must know are refused, by their names.
. "$(dirname "$0")/lib.sh"

# header IMAGE [EXPECTED]: give it unknown parts; or see that it still has those of EXPECTED.
header()
{
	python3 - "$@" <<'END'
import struct, sys

def put(head, offset, layout, *values):
    struct.pack_into(">" + layout, head, offset, *values)

def clear(head, offset, length):
    head[offset:offset + length] = bytes(length)

with open(sys.argv[1], "r+b") as image:
    head = bytearray(image.read(65536))
    if len(sys.argv) == 2:
        extensions = bytes(head[112:4096])
        head[112:4096] = b"\xaa" * 16 + struct.pack(">II", 0x12345678, 3) + b"abc\0\0\0\0\0" \
            + extensions[:3984 - 32]
        put(head, 100, "I", 128)                        # the length of the header
        put(head, 80, "QQ", 1 << 63 | 0x100, 1 << 63 | 0x100)  # compatible, autoclear
        image.seek(0)
        image.write(head)
        sys.exit(0)
with open(sys.argv[2], "rb") as expected:
    wanted = bytearray(expected.read(65536))
if sys.argv[3] == "written":
    for changed in ((24, 8), (36, 12), (48, 12)):       # disk size, L1 table, refcount table
        clear(head, *changed)
        clear(wanted, *changed)
    clear(wanted, 88, 8)
if head != wanted:
    sys.exit(f"other bytes from {next(i for i in range(65536) if head[i] != wanted[i])} on")
END
}

make_disk -o compat=1.1
header disk.qcow2
cp disk.qcow2 before
qemu-img check -q disk.qcow2 || fail "QEMU does not like it"
start_export disk.qcow2
cmp disk.qcow2 plain.raw
sync disk.qcow2
stop_export INT
header disk.qcow2 before "not written"

start_export disk.qcow2
dd if=plain.raw of=disk.qcow2 bs=64k seek=100 count=7 conv=notrunc status=none
dd if=plain.raw of=plain.raw bs=64k seek=100 count=7 conv=notrunc status=none
fallocate --punch-hole --offset 0 --length 1M disk.qcow2
fallocate --punch-hole --offset 0 --length 1M plain.raw
truncate -s 9T disk.qcow2 # the L1 table moves
printf x | dd of=disk.qcow2 bs=1 seek=9000000000000 conv=notrunc status=none
truncate -s 17M disk.qcow2 plain.raw
stop_export INT
header disk.qcow2 before written
expect_clean_check disk.qcow2
expect_content disk.qcow2 plain.raw

# An incompatible feature, without a name, and with one of the table that QEMU writes.
cp before disk.qcow2
printf '\x20' | dd of=disk.qcow2 bs=1 seek=79 conv=notrunc status=none
expect_failure 1 "disk.qcow2: qcow2 feature not supported: bit 5$" "$IMGFUSE" disk.qcow2
expect_failure 1 "disk.qcow2: qcow2 feature not supported: bit 5$" "$IMGFUSE" -r disk.qcow2
python3 - disk.qcow2 <<'END'
import sys
with open(sys.argv[1], "r+b") as image:
    head = image.read(4096)
    # The entry of the dirty bit: type 0, bit 0.
    at = head.index(b"\0\0dirty bit\0")
    image.seek(at)
    image.write(b"\0\5time travel\0")
END
expect_failure 1 "disk.qcow2: qcow2 feature not supported: time travel$" "$IMGFUSE" disk.qcow2
