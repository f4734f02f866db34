#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A second signal has what was written brought to the image, by the helper. If that is killed meanwhile
# the next one does it, and at once.
. "$(dirname "$0")/lib.sh"

make_disk
start_export --verbose disk.qcow2
exec 7<>disk.qcow2
kill -INT "$server"
wait_for_log 'in use; detached'
helper=$(helper_process)
processes+=("$helper")
kill -STOP "$helper"
printf written >&7
kill -INT "$server"
seen=$(grep -m 2 -c 'got SIGINT' < <(exec timeout 60 tail -n +1 -f "$log"))
expect_equal "the number of signals seen" "$seen" 2
kill -KILL "$helper"
wait_for_exit "$server" 40 || fail "it waits for a helper that is dead"
expect_server_exit 1
exec 7>&-
printf written | dd of=plain.raw conv=notrunc status=none
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
