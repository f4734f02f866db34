#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who has an image open for writing, as a running virtual machine does, keeps us out, with words
# that say so; nothing is mounted. The same for a backing file that somebody writes to.
. "$(dirname "$0")/lib.sh"

make_disk
qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2

# Stands for the virtual machine: the same code takes the same locks.
mkfifo commands answers
qemu-io -f qcow2 disk.qcow2 <commands >answers 2>&1 &
machine=$!
processes+=("$machine")
exec 8>commands 9<answers
echo "write -P 1 0 4k" >&8
grep -q -m 1 "wrote 4096" <&9

for arguments in "" "--read-only" "--info"; do
	# shellcheck disable=SC2086 # one word, or none
	expect_failure 1 "disk.qcow2: .*(lock|in use|another)" "$IMGFUSE" $arguments disk.qcow2
done
expect_failure 1 "disk.qcow2: .*(lock|in use|another)" "$IMGFUSE" overlay.qcow2
expect_not_mounted disk.qcow2
expect_not_mounted overlay.qcow2

echo quit >&8
exec 8>&- 9<&-
wait "$machine"
start_export overlay.qcow2
stop_export
