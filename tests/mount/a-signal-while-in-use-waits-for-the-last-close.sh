#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A signal while somebody has the export open: the path shows the image at once, the daemon
# says so and serves on until the last user closes, and then ends well with everything written.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
for signal in TERM INT; do
	start_export disk.qcow2
	exec 7<>disk.qcow2
	python3 -c 'import os; os.pwrite(7, open("block", "rb").read(), 4 << 20)'
	kill -s "$signal" "$server"
	wait_for_log 'in use'
	expect_not_mounted disk.qcow2
	expect_equal "format" "$(format_of disk.qcow2)" qcow2
	python3 - <<'END'
import os
block = open("block", "rb").read()
assert os.pread(7, len(block), 4 << 20) == block
os.pwrite(7, block, 8 << 20)
END
	kill -0 "$server" || fail "the daemon has ended while it was in use"
	exec 7>&-
	expect_server_exit 0
	for at in 4 8; do dd if=block of=plain.raw bs=1M seek=$at conv=notrunc status=none; done
	expect_content disk.qcow2 plain.raw
	expect_clean_check disk.qcow2
	pattern block $((1 << 20)) "$signal"
done
