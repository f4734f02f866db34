#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An image whose data lies in an external data file: both are written, a raw data file is the disk
# itself, both are locked, and another file can be named in its place.
. "$(dirname "$0")/lib.sh"

pattern content $((2 << 20))
for raw in on off; do
	rm -f data.raw disk.qcow2
	qemu-img create -q -f qcow2 -o "data_file=data.raw,data_file_raw=$raw" disk.qcow2 4M
	start_export disk.qcow2
	dd if=content of=disk.qcow2 bs=1M seek=1 conv=notrunc,fsync status=none
	expect_some_failure qemu-io -f raw -c "write 0 512" data.raw
	fallocate --punch-hole --offset 1500000 --length 100000 disk.qcow2
	cp disk.qcow2 seen
	stop_export
	expect_clean_check disk.qcow2
	expect_content disk.qcow2 seen
	cmp -n 400000 -i 1048576:0 seen content
	[ "$raw" = off ] || cmp data.raw seen
done
mv data.raw moved.raw
expect_failure 1 "disk.qcow2: its data file data.raw: No such file" "$IMGFUSE" disk.qcow2
start_export --data-file=moved.raw disk.qcow2
cmp disk.qcow2 seen
stop_export
expect_failure 1 "it has no data file" "$IMGFUSE" --data-file=moved.raw seen
