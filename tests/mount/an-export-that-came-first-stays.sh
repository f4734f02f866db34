#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One that finds the mount point free, but another export there once it has mounted, goes away again
# without a trace; the other serves on. (Read-only: writers exclude each other before that.)
. "$(dirname "$0")/lib.sh"

make_disk
mkfifo gate
# a sanitizer's library wants to be the first
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 LD_PRELOAD=$MOUNT_GATE_LIBRARY MOUNT_GATE=$PWD/gate \
	"$IMGFUSE" -r disk.qcow2 >"$scratch/late" 2>&1 </dev/null &
late=$!
processes+=("$late")
exec 8<gate # it is about to mount
start_export -r disk.qcow2 8<&- # which must not keep the gate shut
exec 8<&-
status=0
wait "$late" || status=$?
expect_equal "the late one's status" "$status" 1
expect_match "what the late one says" "$(cat "$scratch/late")" \
	'disk.qcow2: has just become an export of another imgfuse'
expect_equal "mounts" "$(our_mounts | wc -l)" 1
cmp disk.qcow2 plain.raw
stop_export
