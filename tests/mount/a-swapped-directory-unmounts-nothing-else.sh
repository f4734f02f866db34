#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Just before root's helper unmounts, the directory that the export lies in is exchanged with another
# one, in which something else is mounted under the same name. That stays, and the export ends.
. "$(dirname "$0")/lib.sh"
requires_root
requires mount

make_disk
mkdir theirs ours
cp disk.qcow2 theirs
: >ours/disk.qcow2
mount --bind plain.raw ours/disk.qcow2
mkfifo unmount-gate
launch env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
	"LD_PRELOAD=${MOUNT_GATE_LIBRARY:-}" "UNMOUNT_GATE=$scratch/unmount-gate" \
	"$IMGFUSE" theirs/disk.qcow2
dd if=/dev/zero of=theirs/disk.qcow2 bs=1M count=1 conv=notrunc status=none
kill -TERM "$server"
exec 8<unmount-gate # it is about to unmount
mv theirs elsewhere
ln -s ours theirs
exec 8<&-
expect_server_exit 0
cmp theirs/disk.qcow2 plain.raw
umount ours/disk.qcow2
expect_not_mounted elsewhere/disk.qcow2
expect_clean_check elsewhere/disk.qcow2
