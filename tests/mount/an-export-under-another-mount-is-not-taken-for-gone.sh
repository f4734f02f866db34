#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Somebody mounts over an export, or over the directory that it is in. Then it cannot be unmounted, and
# says so; what lies over it stays. When that is gone, it ends as ever. What a dead server leaves there
# is named, and can be removed later.
. "$(dirname "$0")/lib.sh"
requires_root
requires mount

make_disk
mkdir below
cp disk.qcow2 below
for cover in file directory; do
	image=below/disk.qcow2
	start_export $image
	printf 'written' | dd of=$image conv=notrunc status=none
	serving=$(serving_process)
	if [ $cover = file ]; then
		mount --bind plain.raw $image
	else
		mount -t tmpfs imgfuse-test below
	fi
	kill -TERM "$server"
	wait_for_log "below/disk.qcow2: cannot unmount: another mount lies over it; still serving it"
	if [ $cover = file ]; then
		cmp $image plain.raw
		umount $image
		stop_export
		expect_clean_check $image
		continue
	fi
	processes+=("$serving")
	kill -KILL "$serving"
	wait_for_log "the mount is dead but cannot be removed: another mount lies over it"
	expect_server_exit 1
	forget_process "$serving"
	umount below
	expect_failure 1 "dead mount" "$IMGFUSE" --info $image
	"$IMGFUSE" -u $image
	expect_clean_check $image
done
