#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the article that asked for this showed: a raw disk with a partition table becomes
# qcow2, is exported in place in the background, looked at with file, parted, kpartx and
# qemu-img, which all see a raw disk, and reverted with SIGINT. Then the same in the foreground.
. "$(dirname "$0")/lib.sh"
requires parted kpartx file jq

qemu-img create -q -f raw foo.raw 20M
parted -s foo.raw mklabel msdos
parted -s foo.raw mkpart primary ext2 2048s 100%
qemu-img convert -f raw -O qcow2 foo.raw foo.qcow2
expect_match "file" "$(file foo.qcow2)" "QCOW"

look_inside()
{
	expect_match "file" "$(file foo.qcow2)" "DOS/MBR boot sector"
	expect_match "parted" "$(parted -s foo.qcow2 unit s print)" "^ 1 +2048s +40959s +38912s +primary"
	# Wants to attach a loop device for it, read-only.
	if [ "$(id -u)" -eq 0 ] && losetup -f >/dev/null 2>&1; then
		expect_match "kpartx" "$(kpartx -l foo.qcow2 2>&1)" " : 0 38912 .* 2048"
	fi
	expect_equal "format" "$(qemu-img info --output=json foo.qcow2 | jq -r .format)" raw
	expect_equal "size" "$(qemu-img info --output=json foo.qcow2 | jq '."virtual-size"')" $((20 << 20))
}

"$IMGFUSE" -dp PIDFILE foo.qcow2
processes+=("$(cat PIDFILE)")
look_inside
server=$(cat PIDFILE)
kill -SIGINT "$(cat PIDFILE)"
wait_for_exit "$server"
[ ! -e PIDFILE ] || fail "the pid file is still there"
expect_equal "format" "$(qemu-img info --output=json foo.qcow2 | jq -r .format)" qcow2
expect_clean_check foo.qcow2

start_export foo.qcow2
look_inside
stop_export INT
expect_equal "format" "$(qemu-img info --output=json foo.qcow2 | jq -r .format)" qcow2
expect_clean_check foo.qcow2
