#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --backing puts another file in the place of the backing file, of a stated format or a detected one;
# where there is nothing to replace it is refused.
. "$(dirname "$0")/lib.sh"

make_disk
qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2
mv disk.qcow2 moved.qcow2
expect_failure 1 "overlay.qcow2: its backing file disk.qcow2: No such file" "$IMGFUSE" overlay.qcow2
start_export --backing=moved.qcow2 overlay.qcow2
cmp overlay.qcow2 plain.raw
stop_export
start_export --backing=raw:moved.qcow2 overlay.qcow2
cmp -n 100000 overlay.qcow2 moved.qcow2
stop_export
expect_failure 1 "moved.qcow2: --backing: it has no backing file" "$IMGFUSE" --backing=plain.raw moved.qcow2
