#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A full host, and two who write through handles of their own: what the one has lost is told to the
# other's fsync() first, and still to the one's close(). After an fsync() that worked no close() fails
# any more, and the end is a good one.
. "$(dirname "$0")/lib.sh"
requires_root

mkdir small
mount -t tmpfs -o size=16m small small
qemu-img create -q -f qcow2 small/disk.qcow2 256M
: >mountpoint
start_export small/disk.qcow2 mountpoint
dd if=/dev/zero of=mountpoint bs=64k count=1 conv=notrunc,fsync status=none
dd if=/dev/zero of=small/ballast bs=4k status=none 2>/dev/null || :
python3 - <<'END'
import errno, os

def outcome(call, fd):
    try:
        call(fd)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"

def expect(what, got, *wanted):
    assert got in wanted, f"{what}: {got}"

writer = os.open("mountpoint", os.O_RDWR)
os.pwrite(writer, b"A" * (1 << 20), 4 << 20)
other = os.open("mountpoint", os.O_RDWR)
expect("the other's first fsync()", outcome(os.fsync, other), "ENOSPC", "EIO")
expect("the other's second fsync()", outcome(os.fsync, other), "ok")
later = os.open("mountpoint", os.O_RDWR)
same = os.dup(writer)
expect("the writer's close()", outcome(os.close, writer), "ENOSPC", "EIO")
expect("the other's close()", outcome(os.close, other), "ok")
expect("the close() of who came later", outcome(os.close, later), "ok")

os.unlink("small/ballast")
os.pwrite(same, b"B" * (1 << 20), 4 << 20)
outcome(os.fsync, same)  # may tell of the first once more
expect("the fsync() after that", outcome(os.fsync, same), "ok")
expect("the close() after that", outcome(os.close, same), "ok")
END
expect_equal "what is there" "$(dd if=mountpoint bs=1M skip=4 count=1 status=none | tr -d B | wc -c)" 0
"$IMGFUSE" -u mountpoint 2>said
expect_match "what the end said of it" "$(cat said)" \
	"mountpoint: ended well, but something had failed before that: .*No space left on device$"
expect_server_exit 0

# Told to nobody but at close(): the end says it, too.
start_export small/disk.qcow2 mountpoint
dd if=/dev/zero of=small/ballast bs=4k status=none 2>/dev/null || :
python3 - <<'END'
import os
writer = os.open("mountpoint", os.O_RDWR)
os.pwrite(writer, b"C" * (1 << 20), 64 << 20)
other = os.open("mountpoint", os.O_RDWR)
for _ in range(2):
    try:
        os.fsync(other)
    except OSError:
        pass
try:
    os.close(writer)
    raise SystemExit("close() worked")
except OSError:
    pass
END
kill -INT "$server"
expect_server_exit 1
wait_for_log 'the image is not complete: writing to it failed'
umount small
