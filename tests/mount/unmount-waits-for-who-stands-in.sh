#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The supervisor is killed while --unmount waits: the helper stands in for it, and says how it ended.
. "$(dirname "$0")/lib.sh"

make_disk
start_daemon disk.qcow2
exec 7<>disk.qcow2
printf news >&7
"$IMGFUSE" -u --lazy disk.qcow2 2>"$scratch/log.ending" &
ending=$!
log=$scratch/log.ending wait_for_log 'detached; waiting'
kill -KILL "$server"
wait_for_exit "$server"
exec 7<&-
wait $ending || fail "imgfuse -u ended with $?, saying: $(cat "$scratch/log.ending")"
printf news | dd of=plain.raw conv=notrunc status=none
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
