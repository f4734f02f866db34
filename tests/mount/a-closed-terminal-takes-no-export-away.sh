#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# When a terminal is closed its shell sends SIGHUP, and so does the kernel: that ends an export as the
# first signal does, but however often it comes, one in use is served until the last user closes it.
. "$(dirname "$0")/lib.sh"

# The N-th one was seen.
wait_for_hangup() # N
{
	local seen

	seen=$(grep -m "$1" -c 'got SIGHUP' < <(exec timeout 60 tail -n +1 -f "$log"))
	expect_equal "the number of signals seen" "$seen" "$1"
}

make_disk
pattern block $((1 << 20))
start_export --verbose disk.qcow2
exec 7<>disk.qcow2
kill -HUP "$server"
wait_for_log 'in use'
for number in 2 3 4; do
	kill -HUP "$server"
	wait_for_hangup $number
	python3 -c 'import os; os.pwrite(7, open("block", "rb").read(), 4 << 20); os.fsync(7)'
done
exec 7>&-
expect_server_exit 0
dd if=block of=plain.raw bs=1M seek=4 conv=notrunc status=none
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
