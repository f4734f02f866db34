#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# When the host's file system is full the writer is told, what was written before stays, and when
# there is room again writing goes on. In the end the image has neither errors nor leaks.
. "$(dirname "$0")/lib.sh"
requires_root

pattern news $((4 << 20)) news

fill_and_go_on() # CACHE
{
	local cache=$1

	qemu-img create -q -f qcow2 -o cluster_size=4096 small/disk.qcow2 64M
	truncate -s 64M wanted
	fallocate -l 8M small/ballast
	: >mountpoint
	start_export --cache="$cache" small/disk.qcow2 mountpoint
	dd if=news of=mountpoint bs=1M seek=4 conv=notrunc,fsync status=none
	dd if=news of=wanted bs=1M seek=4 conv=notrunc status=none

	# More than there is room for. What is acknowledged is there, also behind what is refused.
	python3 - <<'END'
import errno, os
refused = set()
wanted = os.open("wanted", os.O_RDWR)
for at in range(16 << 20, 60 << 20, 1 << 20):
    data = bytes([at >> 20]) * (1 << 20)
    fd = os.open("mountpoint", os.O_RDWR)
    try:
        done = os.pwrite(fd, data, at)
        os.fsync(fd)
        os.pwrite(wanted, data[:done], at)
    except OSError as error:
        refused.add(error.errno)
        # Any part of it may be there.
        with open("unknown", "a") as f:
            f.write(f"{at}\n")
    try:
        os.close(fd)
    except OSError:
        pass
assert refused and refused <= {errno.ENOSPC, errno.EIO}, refused
END
	cmp <(dd if=mountpoint bs=1M skip=4 count=4 status=none) news
	# The first to sync after a refused write may be told of it once more.
	sync mountpoint 2>/dev/null || :

	rm small/ballast
	dd if=news of=mountpoint bs=1M seek=8 conv=notrunc,fsync status=none
	dd if=news of=wanted bs=1M seek=8 conv=notrunc status=none
	python3 - <<'END'
wanted = open("wanted", "r+b")
for line in open("unknown"):
    wanted.seek(int(line))
    wanted.write(bytes(1 << 20))
END
	while read -r at; do
		fallocate --zero-range -o "$at" -l 1M mountpoint
	done <unknown
	sync mountpoint
	cmp mountpoint wanted
	stop_export INT
	expect_clean_check small/disk.qcow2
	expect_content small/disk.qcow2 wanted
	rm small/disk.qcow2 wanted unknown
}

mkdir small
for cache in writeback writethrough none; do
	mount -t tmpfs -o size=24M tmpfs small
	fill_and_go_on $cache
	umount small
done

requires_loop_devices
truncate -s 28M host
mkfs.ext4 -q -m 0 host
attach_loop host
mount "$loop" small
fill_and_go_on writeback
umount small
detach_loop "$loop"
