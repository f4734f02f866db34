#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A write to the export gives it a new modification time, unless the kernel caches writes: then
# the time is the kernel's, who does not move it (and so what cp -p sets stays).
. "$(dirname "$0")/lib.sh"

make_disk
for cache in writethrough none; do
	touch -d '2001-02-03 04:05:06 UTC' disk.qcow2
	start_export --cache=$cache disk.qcow2
	printf x | dd of=disk.qcow2 bs=1 conv=notrunc,fsync status=none
	[ "$(stat -c %Y disk.qcow2)" -ge $(($(date +%s) - 300)) ] ||
		fail "--cache=$cache: the time is still $(stat -c %y disk.qcow2)"
	stop_export
done
start_export disk.qcow2
printf x | dd of=disk.qcow2 bs=1 conv=notrunc,fsync status=none
touch -d '2001-02-03 04:05:06 UTC' disk.qcow2
expect_equal "the time that was set" "$(stat -c %Y disk.qcow2)" "$(date -d '2001-02-03 04:05:06 UTC' +%s)"
# Nothing of ours keeps the export busy behind the last close.
for ((i = 0; i < 50; i++)); do
	printf x | dd of=disk.qcow2 bs=1 conv=notrunc status=none
	umount "$PWD/disk.qcow2" 2>/dev/null || fusermount3 -u disk.qcow2
	expect_server_exit 0
	start_export disk.qcow2
done
stop_export
