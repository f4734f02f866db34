#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Signals end an export also where its helper, or its server, takes part in nothing any more: the
# third one does without the helper, the fourth one without the server.
. "$(dirname "$0")/lib.sh"

# At most COUNT: where the helper was quick to sync, the last one is not needed. Each is seen before
# the next is sent, else two would be one.
signal_times() # COUNT
{
	local number

	for ((number = 1; number <= $1; number++)); do
		kill -TERM "$server" 2>/dev/null || break
		[ "$number" -eq "$1" ] || wait_for_count "$number"
		# What comes before the first is answered would be one with it; a helper answers.
		[ $who = helper ] || [ "$number" -gt 1 ] || wait_for_log 'still mounted or in use'
	done
}

wait_for_count() # COUNT
{
	local seen

	seen=$(grep -m "$1" -c 'got SIGTERM' < <(exec timeout 60 tail -n +1 -f "$log"))
	expect_equal "the number of signals seen" "$seen" "$1"
}

make_disk
for who in helper server; do
	start_export --verbose disk.qcow2
	victim=$("${who/server/serving}_process")
	processes+=("$victim")
	kill -STOP "$victim"
	if [ $who = helper ]; then signal_times 3; else signal_times 4; fi
	expect_server_exit 1
	expect_not_mounted disk.qcow2
	wait_for_exit "$victim" || fail "the $who is left"
	forget_process "$victim"
	expect_content disk.qcow2 plain.raw
done
expect_clean_check disk.qcow2
