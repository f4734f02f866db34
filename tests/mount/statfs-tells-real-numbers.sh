#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# statfs: the block size is the cluster size, because a loop device takes its discard granularity
# from there, and the space is that of the file system below.
. "$(dirname "$0")/lib.sh"

for cluster_size in 4096 65536 2097152; do
	qemu-img create -q -f qcow2 -o cluster_size=$cluster_size disk.qcow2 64M
	below=$(($(stat -f -c %b .) * $(stat -f -c %S .)))
	start_export disk.qcow2
	expect_equal "block size" "$(stat -f -c %S disk.qcow2)" $cluster_size
	expect_equal "blocks" "$(stat -f -c %b disk.qcow2)" $((below / cluster_size))
	[ "$(stat -f -c %a disk.qcow2)" -gt 0 ] || fail "no space is available"
	stop_export
done
