#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What programs have written and nobody has synced, the kernel still holds: ending the export
# brings it into the image first.
. "$(dirname "$0")/lib.sh"

make_disk
for signal in TERM INT HUP; do
	pattern block $((10 << 20)) "$signal"
	start_export disk.qcow2
	dd if=block of=disk.qcow2 bs=1M seek=3 conv=notrunc status=none
	stop_export "$signal"
	dd if=block of=plain.raw bs=1M seek=3 conv=notrunc status=none
	expect_content disk.qcow2 plain.raw
	expect_clean_check disk.qcow2
done
