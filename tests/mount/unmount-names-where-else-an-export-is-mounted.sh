#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An export that is bound to another path goes on there when its own is unmounted: imgfuse -u says so
# and fails, or waits with --lazy. What goes with it, as the kernel propagated the mount, is in
# nobody's way.
. "$(dirname "$0")/lib.sh"
requires_root
requires mount timeout

unmount()
{
	timeout -s KILL 100 "$IMGFUSE" -u "$@"
}

make_disk
: >"else where"
start_export disk.qcow2
mount --bind disk.qcow2 "else where"
expect_failure 1 "disk.qcow2: unmounted, but it is still mounted at $PWD/else where" unmount disk.qcow2
expect_not_mounted disk.qcow2
cmp "else where" plain.raw
unmount "else where"
expect_server_exit 0

start_export disk.qcow2
mount --bind disk.qcow2 "else where"
unmount --lazy disk.qcow2 2>"$scratch/log.lazy" &
lazy=$!
log=$scratch/log.lazy wait_for_log "still mounted at $PWD/else where; waiting"
umount "else where"
wait $lazy || fail "it ended with $?"
expect_server_exit 0

mkdir shared peer
mount -t tmpfs imgfuse-test shared
mount --make-shared shared
mount --bind shared peer
cp disk.qcow2 shared
start_export shared/disk.qcow2
expect_mounted peer/disk.qcow2
unmount shared/disk.qcow2
expect_not_mounted peer/disk.qcow2
expect_server_exit 0
umount peer shared
