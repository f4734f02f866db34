#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# While the helper is about to detach an export in use, somebody else does, and mounts something else
# at its path: that stays.
. "$(dirname "$0")/lib.sh"
requires_root
requires mount

make_disk
start_export disk.qcow2
helper=$(helper_process) serving=$(serving_process)
[ -r "/proc/$helper/wchan" ] || skip "the kernel does not say what a process waits for"
# Not with a descriptor that is flushed when it is closed: that waits for the server.
mkfifo ready go
python3 -c 'import os
held = os.open("disk.qcow2", os.O_PATH)
open("ready", "w").close()
open("go").close()' &
: <ready
processes+=("$serving")
kill -STOP "$serving"
kill -TERM "$server"
# It has found it in use and syncs it, for which it waits for the server.
SECONDS=0
until grep -q 'request_wait' "/proc/$helper/wchan"; do
	[ $SECONDS -lt 30 ] || fail "the helper does not sync: $(cat "/proc/$helper/wchan")"
done
# umount(8) would look at it first, and wait itself.
python3 -c 'import ctypes; exit(ctypes.CDLL(None).umount2(b"disk.qcow2", 2))' # MNT_DETACH
mount --bind plain.raw disk.qcow2
kill -CONT "$serving"
wait_for_log 'unmounted, but still mounted or in use|detached it from'
expect_mounted disk.qcow2
cmp disk.qcow2 plain.raw
umount disk.qcow2
: >go
expect_server_exit 0
forget_process "$serving"
expect_clean_check disk.qcow2
