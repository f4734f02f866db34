#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is left over the image when all processes of an export are killed answers nobody. It is named as such,
# with the command that removes it, and that command does.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
start_daemon disk.qcow2
# All of them: nobody is left to clean up.
helper=$(helper_process) serving=$(serving_process)
kill -STOP "$helper" "$server"
kill -KILL "$serving" "$helper" "$server"
for process in "$serving" "$helper" "$server"; do wait_for_exit "$process"; done
expect_mounted disk.qcow2
expect_failure 1 "disk.qcow2: .*dead mount.*imgfuse -u $PWD/disk.qcow2" "$IMGFUSE" disk.qcow2
expect_failure 1 "disk.qcow2: .*dead mount" "$IMGFUSE" plain.raw disk.qcow2
expect_failure 1 "disk.qcow2: .*dead mount" "$IMGFUSE" --info disk.qcow2
"$IMGFUSE" -u disk.qcow2 2>said
expect_match "what it said" "$(cat said)" "disk.qcow2"
expect_not_mounted disk.qcow2
start_export disk.qcow2
cmp disk.qcow2 plain.raw
stop_export

# Somebody else's.
requires_root
python3 - "$PWD/mountpoint" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/dev/fuse", os.O_RDWR)
data = f"fd={fd},rootmode=100000,user_id=0,group_id=0".encode()
assert libc.mount(b"somebody", sys.argv[1].encode(), b"fuse.elsewhere", 0, data) == 0, \
    os.strerror(ctypes.get_errno())
END
expect_failure 1 "mountpoint: .*dead mount.*fusermount3 -u $PWD/mountpoint" \
	"$IMGFUSE" disk.qcow2 mountpoint
fusermount3 -u "$PWD/mountpoint"
start_export disk.qcow2 mountpoint
stop_export
