#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who sends a second signal before the first has been answered cannot know that the export is in use:
# so it is served on. And where it is not in use, nothing is lost, and nothing is called lost.
. "$(dirname "$0")/lib.sh"

# See the N-th signal.
send_signal() # N
{
	local seen

	kill -TERM "$server"
	seen=$(grep -m "$1" -c 'got SIGTERM' < <(exec timeout 60 tail -n +1 -f "$log"))
	expect_equal "the number of signals seen" "$seen" "$1"
}

make_disk
pattern block $((1 << 20))
start_export --verbose disk.qcow2
helper=$(helper_process)
processes+=("$helper")
exec 7<>disk.qcow2
kill -STOP "$helper"
send_signal 1
send_signal 2
kill -CONT "$helper"
wait_for_log 'in use'
python3 -c 'import os; os.pwrite(7, open("block", "rb").read(), 4 << 20); os.fsync(7)'
exec 7>&-
expect_server_exit 0
dd if=block of=plain.raw bs=1M seek=4 conv=notrunc status=none
expect_content disk.qcow2 plain.raw

# The mount is gone, which the server finds out together with that it should stop.
for ((attempt = 0; attempt < 10; attempt++)); do
	start_export --verbose disk.qcow2
	serving=$(serving_process)
	processes+=("$serving")
	kill -STOP "$serving"
	send_signal 1
	while is_mounted disk.qcow2; do :; done
	send_signal 2
	kill -CONT "$serving"
	expect_server_exit 0
	! grep 'lost' "$log" || fail "something was called lost"
done
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
