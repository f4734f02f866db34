#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Somebody mounts over an export. Then it cannot be unmounted, and says so; what lies over it stays.
# When that is gone, it ends as ever. What a dead server leaves there is named, and can be removed
# later. A mount over the directory that it is in keeps it from nothing.
. "$(dirname "$0")/lib.sh"
requires_root
requires mount

start_written_export()
{
	start_export $image
	printf 'written' | dd of=$image conv=notrunc status=none
	serving=$(serving_process)
}

make_disk
mkdir below
cp disk.qcow2 below
image=below/disk.qcow2
printf 'written' | dd of=plain.raw conv=notrunc status=none

start_written_export
mount --bind plain.raw $image
kill -TERM "$server"
wait_for_log "$image: cannot unmount: another mount lies over it; still serving it"
cmp $image plain.raw
umount $image
stop_export
expect_clean_check $image

start_written_export
mount --bind plain.raw $image
processes+=("$serving")
kill -KILL "$serving"
wait_for_log "the mount is dead but cannot be removed: another mount lies over it"
expect_server_exit 1
forget_process "$serving"
umount $image
expect_failure 1 "dead mount" "$IMGFUSE" --info $image
"$IMGFUSE" -u $image
expect_clean_check $image

start_written_export
mount -t tmpfs imgfuse-test below
stop_export
expect_mounted below
umount below
expect_content $image plain.raw
expect_clean_check $image

start_written_export
mount -t tmpfs imgfuse-test below
kill -KILL "$serving"
expect_server_exit 1
umount below
expect_not_mounted $image
expect_clean_check $image
