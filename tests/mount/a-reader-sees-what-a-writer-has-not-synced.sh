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
exec 7<>disk.qcow2
for at in 5 30 63; do
	pattern block $((1 << 20)) $at
	python3 -c "import os; os.pwrite(7, open('block', 'rb').read(), $at << 20)"
	dd if=block of=wanted bs=1M seek=$at conv=notrunc status=none
	cp --sparse=auto disk.qcow2 copy
	cmp copy wanted
	cp --sparse=always disk.qcow2 copy
	cmp copy wanted
	qemu-img convert -U -f raw -O raw disk.qcow2 copy
	cmp copy wanted
done
exec 7>&-
# Closed by the last writer, it shows its holes, and no less of its data.
cp --sparse=auto disk.qcow2 copy
cmp copy wanted
[ "$(space_of copy)" -le $((5 << 20)) ] || fail "the copy takes $(space_of copy) bytes"
stop_export
expect_content disk.qcow2 wanted
