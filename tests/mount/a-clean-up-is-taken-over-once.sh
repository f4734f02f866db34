#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The supervisor is killed while it cleans up after a server: its heir does that, and nobody stands by
# for the heir. Should cleaning up be what kills them there is an end to it.
. "$(dirname "$0")/lib.sh"
requires_root # else it is not us who unmount

# Who is about to unmount waits.
mkfifo gate
make_disk
for killed in supervisor both; do
	launch "${unmount_gated[@]}" "$IMGFUSE" --pidfile "$PWD/pidfile" disk.qcow2
	heir=$(helper_process)
	processes+=("$heir")
	kill -KILL "$(serving_process)"
	exec 8<gate
	# The gate is for the heir, from here on.
	kill -STOP "$server"
	exec 8<&-
	kill -KILL "$server"
	expect_server_exit 137
	exec 8<gate
	expect_equal "who cleans up" "$(cat pidfile)" "$heir"
	expect_equal "the heir of the heir" "$(pgrep -P "$heir" || :)" ""
	[ $killed = supervisor ] || kill -KILL "$heir"
	exec 8<&-
	wait_for_exit "$heir" || fail "the heir does not end"
	if [ $killed = supervisor ]; then
		expect_not_mounted disk.qcow2
		[ ! -e pidfile ] || fail "the pid file is still there"
	else
		"$IMGFUSE" -u disk.qcow2
	fi
done
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
