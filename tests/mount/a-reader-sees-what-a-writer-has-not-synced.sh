#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel asks for holes without writing back first. So while somebody has the export open
# for writing all of it counts as data, and cp and qemu-img convert miss nothing that is still in
# the kernel's cache.
. "$(dirname "$0")/lib.sh"

qemu-img create -q -f qcow2 disk.qcow2 64M
truncate -s 64M wanted
start_export disk.qcow2

# Writes block to where it is told, and closes nothing, as also the end of a child would: that
# alone makes the kernel write back.
mkfifo commands answers
python3 -u -c '
import os, sys
fd = os.open("disk.qcow2", os.O_RDWR)
for line in sys.stdin:
    os.pwrite(fd, open("block", "rb").read(), int(line) << 20)
    print("written")
' <commands >answers &
writer=$!
processes+=("$writer")
exec 8>commands 9<answers

for at in 5 30 63; do
	pattern block $((1 << 20)) $at
	echo $at >&8
	read -r -t 60 answer <&9
	expect_equal "what the writer says" "$answer" written
	dd if=block of=wanted bs=1M seek=$at conv=notrunc status=none
	case $at in
	5) cp --sparse=auto disk.qcow2 copy ;;
	30) cp --sparse=always disk.qcow2 copy ;;
	63) qemu-img convert -U -f raw -O raw disk.qcow2 copy ;;
	esac
	cmp copy wanted
done
exec 8>&- 9<&-
wait "$writer"

# Closed by the last writer, it shows its holes, and no less of its data.
cp --sparse=auto disk.qcow2 copy
cmp copy wanted
[ "$(space_of copy)" -le $((5 << 20)) ] || fail "the copy takes $(space_of copy) bytes"
stop_export
expect_content disk.qcow2 wanted
