#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# When the host has no room for what the kernel has yet to write back, nobody may be left whom it can
# tell. So the end of the export says that the image is not complete: by words and status in the
# foreground, and in the background through imgfuse --unmount, which waited for it. What is in the
# image has no errors.
. "$(dirname "$0")/lib.sh"
requires_root

mkdir host
mount -t tmpfs -o size=4m none host
qemu-img create -q -f qcow2 host/disk.qcow2 64M
: >mountpoint

# Dirty pages of a mapping that was never synced, or of a file that is still open.
dirty_mapping()
{
	python3 - <<'END'
import mmap
with open("mountpoint", "r+b") as disk:
    mapped = mmap.mmap(disk.fileno(), 8 << 20)
    for at in range(0, 8 << 20, 4096):
        mapped[at] = 1
END
}

start_export host/disk.qcow2 mountpoint
dirty_mapping 2>/dev/null || : # close() may say so, and who listens to that?
kill -INT "$server"
expect_server_exit 1
expect_match "what it said" "$(cat "$log")" "disk.qcow2: the image is not complete.*No space left"
expect_not_mounted mountpoint
expect_no_errors host/disk.qcow2

rm host/disk.qcow2
qemu-img create -q -f qcow2 host/disk.qcow2 64M
start_daemon host/disk.qcow2 mountpoint
exec 7<>mountpoint
cat /dev/zero >host/filler 2>/dev/null || :
python3 -c 'import os; os.pwrite(7, bytes([7]) * (2 << 20), 0)'
"$IMGFUSE" -u --lazy mountpoint 2>said &
lazy=$!
processes+=("$lazy")
log=said wait_for_log "detached"
exec 7>&-
status=0
wait "$lazy" || status=$?
expect_equal "the status of --lazy" $status 1
expect_match "what it said" "$(cat said)" "ended, but not well: .*the image is not complete.*No space"
expect_not_mounted mountpoint
rm host/filler
expect_no_errors host/disk.qcow2

# With room again all is well.
start_daemon host/disk.qcow2 mountpoint
dd if=/dev/zero of=mountpoint bs=1M count=2 conv=notrunc,fsync status=none
"$IMGFUSE" -u mountpoint
expect_no_errors host/disk.qcow2
