#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In an image whose refcounts call clusters free that are in use, or whose refcounts are missing since
# the file was cut short, who discards or writes is told so: nothing that was synced is lost for it.
. "$(dirname "$0")/lib.sh"

# expect_refusal WORDS COMMAND...: it fails, and what the disk holds is what it held before.
expect_refusal()
{
	local words=$1

	shift
	start_export --cache=writethrough disk.qcow2
	cp disk.qcow2 before
	expect_some_failure "$@"
	wait_for_log "disk.qcow2: is corrupt: $words.*; it is read-only from now on"
	expect_some_failure dd if=/dev/zero of=disk.qcow2 bs=64K seek=16 count=1 conv=notrunc status=none
	cmp disk.qcow2 before
	stop_export
	expect_content disk.qcow2 before
}

# Guest cluster 0 lies in host cluster 5, whose refcount becomes 0.
make()
{
	rm -f disk.qcow2
	qemu-img create -q -f qcow2 disk.qcow2 8M
	qemu-io -f qcow2 -c "write -P 1 0 64k" -c "write -P 2 64k 64k" disk.qcow2 >/dev/null
	printf '\0\0' | dd of=disk.qcow2 bs=1 seek=$((0x20000 + 5 * 2)) conv=notrunc status=none
}

make
expect_refusal "refcount of the cluster at 0x50000, in use, is too low" \
	fallocate --punch-hole --offset 0 --length 64K disk.qcow2
make
expect_refusal "refcount of the cluster at 0x50000, in use, is too low" \
	dd if=/dev/zero of=disk.qcow2 bs=4K count=1 conv=notrunc status=none

# With clusters of 512 bytes the second refcount block comes late.
rm -f disk.qcow2
qemu-img create -q -f qcow2 -o cluster_size=512 disk.qcow2 1M
qemu-io -f qcow2 -c "write -P 3 0 512k" disk.qcow2 >/dev/null
block=$(python3 -c '
import struct
image = open("disk.qcow2", "rb").read()
table, = struct.unpack_from(">Q", image, 48)
print(max(struct.unpack_from(">4Q", image, table)))')
truncate -s "$block" disk.qcow2
expect_refusal "refcount block at .* reaches behind the end of the file" \
	dd if=/dev/zero of=disk.qcow2 bs=64K seek=15 count=1 conv=notrunc status=none
