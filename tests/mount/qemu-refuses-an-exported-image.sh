#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# QEMU, which knows of the locks, refuses an image that is exported read-write, and to write to
# one that is exported read-only or that is the backing file of one. Afterwards it does not.
. "$(dirname "$0")/lib.sh"

make_disk
qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2
: >mountpoint

refused() # COMMAND...
{
	expect_some_failure "$@"
	expect_match "what '$*' said" "$(cat "$scratch/failure")" 'Failed to get .*lock'
}

start_export disk.qcow2 mountpoint
refused qemu-io -f qcow2 -c 'write 0 4k' disk.qcow2
refused qemu-io -r -f qcow2 -c 'read 0 4k' disk.qcow2
refused qemu-img info disk.qcow2
refused qemu-img resize -q disk.qcow2 32M
refused qemu-img check disk.qcow2
qemu-img info -U disk.qcow2 >/dev/null
stop_export

start_export --read-only disk.qcow2 mountpoint
refused qemu-io -f qcow2 -c 'write 0 4k' disk.qcow2
qemu-io -r -f qcow2 -c 'read 0 4k' disk.qcow2 >/dev/null
qemu-img check -q disk.qcow2
# Two readers do not disturb one another.
"$IMGFUSE" --info disk.qcow2 >/dev/null
stop_export

start_export overlay.qcow2 mountpoint
refused qemu-io -f qcow2 -c 'write 0 4k' disk.qcow2
refused qemu-io -f qcow2 -c 'write 0 4k' overlay.qcow2
qemu-io -r -f qcow2 -c 'read 0 4k' disk.qcow2 >/dev/null
stop_export

qemu-io -f qcow2 -c 'write 0 4k' overlay.qcow2 >/dev/null
qemu-io -f qcow2 -c 'write 0 4k' disk.qcow2 >/dev/null
