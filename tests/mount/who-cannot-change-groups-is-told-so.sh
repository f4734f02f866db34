#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Root without the right to set groups, as in many containers, cannot look with the rights of an
# image's owner. It is said, and does not end the program.
. "$(dirname "$0")/lib.sh"
requires setpriv
requires_root

make_disk
qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2
chown 65534:65534 "$scratch" disk.qcow2 overlay.qcow2
without=(setpriv --bounding-set -setgid --inh-caps -setgid)

expect_failure 1 'with the rights of its owner.*--references=all' \
	"${without[@]}" "$IMGFUSE" --info overlay.qcow2
"${without[@]}" "$IMGFUSE" --references=all --info overlay.qcow2 | grep -q 'disk.qcow2'
