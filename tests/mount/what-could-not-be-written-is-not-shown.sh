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

# What another one has written, and the kernel sends with it, is none of its business.
start_export disk.raw
python3 - <<'END'
import os
honest, other = (os.open("disk.raw", os.O_RDWR) for _ in range(2))
os.pwrite(honest, b"h" * (512 << 10), 4096)
os.pwrite(other, b"QFI\xfb\0\0\0\3" + b"o" * 4088, 0)
try:
    os.fsync(other)
    raise SystemExit("the write did not fail")
except OSError:
    pass
os.close(honest)
assert os.pread(other, 512 << 10, 4096) == b"h" * (512 << 10)
END
stop_export
python3 - <<'END'
disk, wanted = (open(name, "rb").read() for name in ("disk.raw", "wanted"))
assert disk[:512] == wanted[:512]
assert disk[4096:516 << 10] == b"h" * (512 << 10)
END

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
# Whoever syncs still looks at a page when the answer for it comes.
python3 - <<'END'
import os, time
fd = os.open("mountpoint", os.O_RDWR)
written = range(80 << 20, 96 << 20, 64 << 10)
for offset in written:
    os.pwrite(fd, b"N" * 4096, offset)
    # Sometimes the one before is just being dropped, and sometimes that is over.
    end = time.monotonic() + offset // 65536 % 16 / 1600
    while time.monotonic() < end:
        os.sched_yield()
    try:
        os.fsync(fd)
        raise SystemExit("the write did not fail")
    except OSError:
        pass
end = time.monotonic() + 60
while shown := sum(os.pread(fd, 4, offset) == b"NNNN" for offset in written):
    if time.monotonic() > end:
        raise SystemExit(f"{shown} of {len(written)} are still shown")
END
rm small/ballast
printf innocent | dd of=mountpoint bs=1 seek=$(((64 << 20) + 100)) conv=notrunc,fsync status=none
expect_equal "what is there" \
	"$(dd if=mountpoint bs=1 skip=$((64 << 20)) count=108 status=none | tr -d '\0')" innocent
stop_export
umount small
