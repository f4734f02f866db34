#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where two are started at the same moment, one serves the image, and the other says why not: it
# neither opens the export of the first for the image, nor mounts over it.
. "$(dirname "$0")/lib.sh"

make_disk
for round in {1..15}; do
	"$IMGFUSE" -d disk.qcow2 >"$scratch/one" 2>&1 </dev/null &
	first=$!
	second_status=0 first_status=0
	"$IMGFUSE" -d disk.qcow2 >"$scratch/two" 2>&1 </dev/null || second_status=$?
	wait $first || first_status=$?
	expect_equal "round $round: exports" "$(our_mounts | wc -l)" 1
	expect_equal "round $round: failures" $((first_status + second_status)) 1
	expect_match "round $round: what the other said" "$(cat "$scratch/one" "$scratch/two")" \
		'export|uses the image'
	"$IMGFUSE" -u disk.qcow2
	expect_not_mounted disk.qcow2
	expect_clean_check disk.qcow2
done
