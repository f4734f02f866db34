#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# imgfuse --unmount: when it returns, all that was written is in the image, and whoever comes
# next gets the locks. That is where plain umount is too early.
. "$(dirname "$0")/lib.sh"

make_disk
for round in 1 2 3 4 5; do
	pattern block $((8 << 20)) "$round"
	start_daemon disk.qcow2
	dd if=block of=disk.qcow2 bs=1M seek="$round" conv=notrunc status=none
	dd if=block of=plain.raw bs=1M seek="$round" conv=notrunc status=none
	"$IMGFUSE" --unmount disk.qcow2
	# At once, without another process in between that takes its time.
	state=gone
	if [ -e "/proc/$server/status" ]; then
		while read -r key state _; do [ "$key" != State: ] || break; done <"/proc/$server/status"
	fi 2>/dev/null
	[ "$state" = gone ] || [ "$state" = Z ] || fail "the server is still there"
	# Takes the locks for writing, or fails.
	qemu-io -f qcow2 -c "write -P $round 15M 4k" disk.qcow2 >/dev/null
	qemu-io -f raw -c "write -P $round 15M 4k" plain.raw >/dev/null
	[ ! -e pidfile ] || fail "the pid file is still there"
	expect_content disk.qcow2 plain.raw
	expect_clean_check disk.qcow2
done
