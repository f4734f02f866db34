#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --snapshot shows an internal snapshot, by id or by name, as qemu-img convert -l does; it cannot be
# written, and writing to the current state leaves it as it is.
. "$(dirname "$0")/lib.sh"

make_disk
qemu-img snapshot -c before disk.qcow2
qemu-io -f qcow2 -c "write -P 1 4M 3M" -c "discard 0 64k" disk.qcow2 >/dev/null
qemu-img snapshot -c after disk.qcow2
qemu-img convert -l after -O raw disk.qcow2 after.raw
cmp_snapshots()
{
	start_export --snapshot=before disk.qcow2
	cmp disk.qcow2 plain.raw
	expect_some_failure dd if=/dev/zero of=disk.qcow2 count=1 conv=notrunc status=none
	stop_export
	start_export --snapshot=2 disk.qcow2
	cmp disk.qcow2 after.raw
	stop_export
}
cmp_snapshots
expect_match "--info" "$("$IMGFUSE" --info disk.qcow2)" '^2 +after '
start_export disk.qcow2
dd if=/dev/urandom of=disk.qcow2 bs=1M seek=3 count=9 conv=notrunc status=none
fallocate --punch-hole --offset 15M --length 1M disk.qcow2
stop_export
expect_clean_check disk.qcow2
cmp_snapshots
qemu-img convert -l before -O raw disk.qcow2 seen
cmp seen plain.raw

# Who mistypes a name is told the right ones, as far as there is room.
expect_failure 1 "disk.qcow2: it has no internal snapshot 'never'; it has: 1 \(before\), 2 \(after\)$" \
	"$IMGFUSE" --snapshot=never disk.qcow2
qemu-img create -q -f qcow2 many.qcow2 1M
expect_failure 1 "no internal snapshot 'never'; it has: none$" "$IMGFUSE" --snapshot=never many.qcow2
for ((i = 1; i <= 9; i++)); do qemu-img snapshot -c "$(printf '%040d\033' $i)" many.qcow2; done
expect_failure 1 "it has: 1 \(0{39}1\?\), 2 .*, \.\.\. \(--info lists all\)$" \
	"$IMGFUSE" --snapshot=never many.qcow2

# What is the id of one and the name of another is an id, as for QEMU.
qemu-img create -q -f qcow2 two.qcow2 1M
qemu-img snapshot -c 2 two.qcow2
qemu-io -f qcow2 -c "write -P 7 0 64k" two.qcow2 >/dev/null
qemu-img snapshot -c other two.qcow2
qemu-img convert -l 2 -O raw two.qcow2 wanted
start_export --snapshot=2 two.qcow2
cmp two.qcow2 wanted
stop_export
start_export --snapshot=other two.qcow2
cmp two.qcow2 wanted
stop_export
expect_failure 1 "no internal snapshot" "$IMGFUSE" --snapshot=1 plain.raw
