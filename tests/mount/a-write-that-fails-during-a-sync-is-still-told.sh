#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# While the server is at the fsync() of the one, a cached write of another one's mapping fails. The
# fsync() comes back without a word of it, as the kernel had looked before; so the close() tells it.
. "$(dirname "$0")/lib.sh"
requires_root

mkdir small
mount -t tmpfs -o size=16m small small
qemu-img create -q -f qcow2 small/disk.qcow2 256M
: >mountpoint
printf 0. >fault
launch "${faulty[@]}" "$IMGFUSE" small/disk.qcow2 mountpoint
dd if=/dev/zero of=mountpoint bs=64k count=1 conv=notrunc,fsync status=none
dd if=/dev/zero of=small/ballast bs=4k status=none 2>/dev/null || :
python3 - <<'END'
import ctypes, errno, faulthandler, mmap, os, threading

faulthandler.dump_traceback_later(120, exit=True)
libc = ctypes.CDLL(None, use_errno=True)
libc.sync_file_range.argtypes = ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
fault = mmap.mmap(os.open("fault", os.O_RDWR), 2)
first = os.open("mountpoint", os.O_RDWR)
second = os.open("mountpoint", os.O_RDWR)
memory = mmap.mmap(second, 0)

told = []
def sync_first():
    try:
        os.fsync(first)
        told.append("ok")
    except OSError as error:
        told.append(errno.errorcode[error.errno])

fault[0:1] = b"w"
thread = threading.Thread(target=sync_first)
thread.start()
while fault[1:2] != b"w":
    os.sched_yield()
# Unlike write() and fsync() this does not wait for who syncs.
memory[64 << 20] = 7
assert libc.sync_file_range(second, 64 << 20, 4096, 7) != 0, "the write works"
fault[0:1] = b"0"
thread.join()
assert told == ["ok"], told
try:
    os.close(first)
    raise SystemExit("the close() tells nothing")
except OSError as error:
    assert error.errno in (errno.ENOSPC, errno.EIO), error
END
kill -INT "$server"
expect_server_exit 1
umount small
