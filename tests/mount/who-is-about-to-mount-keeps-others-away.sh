#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# While one is about to mount, nobody else gets to mount there, with the same image (read-only ones
# get as far as that) or another one; afterwards, and when the first has ended, all is as ever.
. "$(dirname "$0")/lib.sh"

make_disk
cp plain.raw other.raw
: >mountpoint
mkfifo gate
for image in disk.qcow2 other.raw; do
	log=$scratch/log.first.$image
	"${gated[@]}" "$IMGFUSE" -r disk.qcow2 mountpoint >"$log" 2>&1 </dev/null &
	server=$!
	processes+=("$server")
	exec 8<gate # it is about to mount
	expect_failure 1 "mountpoint: is just becoming an export of another imgfuse" \
		"$IMGFUSE" -d -r $image mountpoint 8<&-
	expect_not_mounted mountpoint
	exec 8<&-
	wait_for_log 'exported as raw'
	expect_failure 1 "mountpoint: is an export already" "$IMGFUSE" -d -r $image mountpoint
	cmp mountpoint plain.raw
	stop_export
	start_export $image mountpoint
	stop_export
done
[ "$(wc -c <mountpoint)" -eq 0 ] || fail "something was written to the mount point"
