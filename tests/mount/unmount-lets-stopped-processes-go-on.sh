#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# imgfuse -u of an export whose supervisor was stopped, as by ^Z, or whose server is stopped while it
# waits: whom it waits for it lets go on, and says so.
. "$(dirname "$0")/lib.sh"
requires timeout

make_disk
start_export disk.qcow2
kill -STOP "$server"
timeout -s KILL 100 "$IMGFUSE" -u disk.qcow2 2>said || fail "it ended with $?"
expect_match "what it said" "$(cat said)" "disk.qcow2: process $server .*was stopped; continued it"
expect_server_exit 0

start_export disk.qcow2
serving=$(serving_process)
processes+=("$serving")
exec 7<disk.qcow2
timeout -s KILL 100 "$IMGFUSE" -u --lazy disk.qcow2 2>"$scratch/log.lazy" 7<&- &
lazy=$!
log=$scratch/log.lazy wait_for_log "detached; waiting"
kill -STOP "$serving"
exec 7<&-
wait $lazy || fail "it ended with $?"
expect_match "what it said" "$(cat log.lazy)" "process $serving .*was stopped; continued it"
expect_server_exit 0
expect_content disk.qcow2 plain.raw
