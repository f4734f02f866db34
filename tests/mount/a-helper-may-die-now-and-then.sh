#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A helper that is killed is replaced, however often that was done before; only where several die within
# a minute the export ends, and says why.
. "$(dirname "$0")/lib.sh"

# The N-th was killed, and seen to be.
kill_helper() # N
{
	local helper seen

	until helper=$(helper_process); do :; done
	kill -KILL "$helper"
	seen=$(grep -m "$1" -c 'the helper was killed' \
		< <(exec timeout 60 tail -n +1 -f "$log"))
	expect_equal "the number of dead helpers seen" "$seen" "$1"
}

# Let ten times so many seconds pass.
skip_to()
{
	printf '%b' "\\x$(printf %02x "$1")" | dd of=skip conv=notrunc status=none
}

make_disk
printf '\0' >skip
launch "${clock_skipped[@]}" "$IMGFUSE" disk.qcow2
for number in 1 2 3 4; do
	kill_helper $number
	cmp disk.qcow2 plain.raw
	skip_to $((number * 7))
done
# Whichever minute it is that has four in it.
kill_helper 5
skip_to 33
for number in 6 7; do kill_helper $number; done
skip_to 36
for number in 8 9; do kill_helper $number; done
expect_server_exit 1
expect_match "what it said" "$(cat "$log")" "killed by SIGKILL"
expect_match "what it said" "$(cat "$log")" "the helper died 4 times within a minute"
expect_not_mounted disk.qcow2
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
