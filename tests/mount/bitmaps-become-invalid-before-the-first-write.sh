#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Persistent bitmaps are not kept up to date: a warning names them, the first write makes them count as
# inconsistent, and an export that is not written to leaves them alone.
. "$(dirname "$0")/lib.sh"

make_disk
qemu-img bitmap --add disk.qcow2 daily
qemu-img bitmap --add disk.qcow2 weekly
autoclear()
{
	od -An -tu1 -j 95 -N 1 disk.qcow2 | tr -d ' '
}
start_export disk.qcow2
wait_for_log "bitmap.*'daily', 'weekly'"
cmp disk.qcow2 plain.raw
stop_export
expect_equal "autoclear bits" "$(autoclear)" 1
expect_match "qemu-img" "$(qemu-img info disk.qcow2 2>&1)" "weekly"

start_export disk.qcow2
dd if=plain.raw of=disk.qcow2 bs=64k count=1 conv=notrunc status=none
stop_export
expect_equal "autoclear bits" "$(autoclear)" 0
expect_match "qemu-img" "$(qemu-img info disk.qcow2 2>&1)" "inconsistent"
expect_content disk.qcow2 plain.raw
start_export disk.qcow2
[ ! -s "$log" ] || fail "a warning about bitmaps that are invalid already"
stop_export
