#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What README.md says of partitions: sfdisk and parted tell where one begins, with that offset root
# mounts it through a loop device, and an ordinary user looks into it with debugfs.
. "$(dirname "$0")/lib.sh"
requires_loop_devices
requires_kernel_fs ext4
requires sfdisk parted mke2fs debugfs jq mount

truncate -s 64M plain.raw
sfdisk -q plain.raw <<<'label: dos
start=2048, size=20480, type=83
start=22528, type=83'
mkdir files mnt
echo first >files/name
mke2fs -q -t ext4 -d files -E offset=$((2048 * 512)) plain.raw 10M
echo second >files/name
mke2fs -q -t ext4 -d files -E offset=$((22528 * 512)) plain.raw 53M
qemu-img convert -f raw -O qcow2 plain.raw disk.qcow2

start_export disk.qcow2
for number in 1 2; do
	start=$(sfdisk -J disk.qcow2 | jq ".partitiontable.partitions[$number - 1].start")
	expect_match "parted" "$(parted -sm disk.qcow2 unit B print)" "^$number:$((start * 512))B:"
	mount -o loop,offset=$((start * 512)) disk.qcow2 mnt
	loops+=("$(findmnt -n -o SOURCE -M "$PWD/mnt")")
	name=$(cat mnt/name)
	echo "written to $name" >mnt/name
	umount mnt
	loops=() # it has detached itself
	expect_equal "with debugfs" \
		"$(debugfs -R 'cat name' "disk.qcow2?offset=$((start * 512))" 2>/dev/null)" \
		"written to $name"
done
expect_equal "what the second one held" "$name" second
stop_export
expect_clean_check disk.qcow2
