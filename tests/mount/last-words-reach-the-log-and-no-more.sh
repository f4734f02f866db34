#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What serves an image has no standard error that could be the caller's terminal or log: what is
# printed there when it aborts is said afterwards, and is printable. With --sandbox=off it has.
. "$(dirname "$0")/lib.sh"

# start_faulty_export [OPTION...]: one that says something before it serves.
start_faulty_export()
{
	printf 0 >fault
	launch "${faulty[@]}" "$IMGFUSE" --verbose "$@" disk.qcow2
	expect_match "what is said first" "$(cat "$log")" ': format qcow2 '
}

# abort_export: make it print something, and abort.
abort_export()
{
	printf x >fault
	expect_some_failure dd if=plain.raw of=disk.qcow2 bs=64k count=1 conv=notrunc,fsync
	expect_server_exit 1
	expect_match "how it ended" "$(tr -d '\0' <"$log")" 'the server was killed by SIGABRT'
}

make_disk
start_faulty_export
! grep -q 'this build has a sanitizer' "$log" || skip "a build with a sanitizer has no sandbox"
abort_export
expect_match "what was said before" "$(cat "$log")" ': format qcow2 '
expect_match "what it said" "$(grep first "$log")" '^imgfuse: disk.qcow2: the server: first$'
expect_match "the end of it" "$(grep second "$log")" ': the server: \?\[31msecond$'
expect_clean_check disk.qcow2

start_faulty_export --sandbox=off
abort_export
expect_equal "what is left of what was said before" "$(grep -c ': format qcow2 ' "$log")" 0
