#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A directory above the export gets another name: a size that only the kernel believes in is put
# right all the same, and ending it in use and out of use loses nothing.
. "$(dirname "$0")/lib.sh"

mkdir old
make_disk
mv disk.qcow2 old
start_export old/disk.qcow2
mv old new
python3 - <<'END'
import errno, os, time

size = 16 << 20
fd = os.open("new/disk.qcow2", os.O_RDWR)
os.pwrite(fd, b"x" * 8192, size)
try:
    os.fsync(fd)
    raise SystemExit("fsync() worked")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.pwrite(fd, b"news", 0)
os.close(fd)
fd = os.open("new/disk.qcow2", os.O_RDONLY)
deadline = time.monotonic() + 60
while os.fstat(fd).st_size != size:
    assert time.monotonic() < deadline, os.fstat(fd).st_size
    os.sched_yield()
assert os.pread(fd, 8192, size) == b""
END
exec 7<new/disk.qcow2
kill -TERM "$server"
wait_for_log 'in use; detached it'
exec 7<&-
expect_server_exit 0
printf news | dd of=plain.raw conv=notrunc status=none
expect_content new/disk.qcow2 plain.raw
expect_clean_check new/disk.qcow2
