#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A write to the export gives it a new modification time, with every cache mode.
. "$(dirname "$0")/lib.sh"

make_disk
for cache in writeback writethrough none; do
	touch -d '2001-02-03 04:05:06 UTC' disk.qcow2
	start_export --cache=$cache disk.qcow2
	printf x | dd of=disk.qcow2 bs=1 conv=notrunc,fsync status=none
	[ "$(stat -c %Y disk.qcow2)" -ge $(($(date +%s) - 300)) ] ||
		fail "--cache=$cache: the time is still $(stat -c %y disk.qcow2)"
	stop_export
done
