#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Writes that the kernel had cached and the disk has not taken do not stay in the cache: whoever
# reads sees what the disk holds, and what else is written to the same page does not fail with
# them.
. "$(dirname "$0")/lib.sh"
requires_root

# see_old_again MOUNT OFFSET OLD NEW: write NEW, which fails, and wait until OLD is read again.
see_old_again()
{
	python3 - "$@" <<'END'
import os, sys, time
path, offset, old, new = sys.argv[1], int(sys.argv[2]), *map(bytes.fromhex, sys.argv[3:])
fd = os.open(path, os.O_RDWR)
os.pwrite(fd, new, offset)
try:
    os.fsync(fd)
    sys.exit("the write did not fail")
except OSError:
    pass
end = time.monotonic() + 60
while (seen := os.pread(fd, len(old), offset)) != old:
    if seen != new or time.monotonic() > end:
        sys.exit(f"{seen.hex()} is read at {offset}")
END
}

# What would make the disk another format, and then something else for the same page.
pattern disk.raw $((1 << 20))
cp disk.raw wanted
start_export disk.raw
see_old_again disk.raw 0 "$(od -An -v -t x1 -N 8 wanted | tr -d " ")" 514649fb00000003
printf innocent | dd of=disk.raw bs=1 seek=2048 conv=notrunc,fsync status=none
printf innocent | dd of=wanted bs=1 seek=2048 conv=notrunc status=none
cmp disk.raw wanted
stop_export
cmp disk.raw wanted

# What a full host has no room for; what was written before around it stays.
mkdir small
mount -t tmpfs -o size=16m small small
qemu-img create -q -f qcow2 small/disk.qcow2 256M
: >mountpoint
start_export small/disk.qcow2 mountpoint
dd if=/dev/zero of=mountpoint bs=64k count=1 conv=notrunc,fsync status=none
dd if=/dev/zero of=small/ballast bs=4k status=none 2>/dev/null || :
see_old_again mountpoint $((64 << 20)) 0000000000000000 4141414141414141
see_old_again mountpoint $(((128 << 20) + 7)) 0000 4242
rm small/ballast
printf innocent | dd of=mountpoint bs=1 seek=$(((64 << 20) + 100)) conv=notrunc,fsync status=none
expect_equal "what is there" \
	"$(dd if=mountpoint bs=1 skip=$((64 << 20)) count=108 status=none | tr -d '\0')" innocent
stop_export
umount small
