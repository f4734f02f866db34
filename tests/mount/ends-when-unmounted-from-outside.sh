#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# umount or fusermount3 -u end the daemon as a signal does: everything written is in the image,
# the locks are free, the pid file is gone, the status is 0.
. "$(dirname "$0")/lib.sh"

unmount_plainly()
{
	if [ "$(id -u)" -eq 0 ]; then umount "$1"; else fusermount3 -u "$1"; fi
}

make_disk
pattern block $((4 << 20))
for how in unmount_plainly "fusermount3 -u"; do
	start_export --pidfile "$PWD/pidfile" disk.qcow2
	[ -e pidfile ] || fail "there is no pid file"
	dd if=block of=disk.qcow2 bs=1M seek=5 conv=notrunc status=none
	dd if=block of=plain.raw bs=1M seek=5 conv=notrunc status=none
	$how disk.qcow2
	expect_server_exit 0
	[ ! -e pidfile ] || fail "the pid file is still there"
	expect_content disk.qcow2 plain.raw
	expect_clean_check disk.qcow2
	pattern block $((4 << 20)) another
done

start_daemon disk.qcow2
unmount_plainly disk.qcow2
wait_for_exit "$server" || fail "the daemon does not end"
[ ! -e pidfile ] || fail "the pid file is still there"
