#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What serves an image has given up everything else: each of its threads has a filter of system
# calls, no privilege and no way to one; and it has nothing open but the image, the mount, what
# leads to the supervisor, something to print to, and to read how it ends. With --sandbox=off it
# has given up nothing.
. "$(dirname "$0")/lib.sh"

# expect_status NAME REGEX: what /proc says of each thread.
expect_status()
{
	local task

	for task in "/proc/$serving/task"/*; do
		expect_match "$1 of ${task##*/}" "$(grep "^$1:" "$task/status" | cut -f 2)" "^$2\$"
	done
}

requires pgrep
make_disk -c
start_export --verbose disk.qcow2
! grep -q 'this build has a sanitizer' "$log" || skip "a build with a sanitizer has no sandbox"
! grep -q 'built without libseccomp' "$log" || skip "built without libseccomp"
serving=$(serving_process)
[ "$(find "/proc/$serving/task" -mindepth 1 -maxdepth 1 | wc -l)" -gt 4 ] || fail "few threads"
expect_status Seccomp 2
expect_status NoNewPrivs 1
for set in CapInh CapPrm CapEff CapAmb; do
	expect_status "$set" 0000000000000000
done
[ "$(id -u)" -ne 0 ] || expect_status CapBnd 0000000000000000
expect_match "core dumps" "$(grep 'core file' "/proc/$serving/limits")" "size +0 +0 +bytes"

if [ "$(id -u)" -eq 0 ]; then
	find "/proc/$serving/fd" -type l -printf '%l\n' | sort -u >open
	expect_equal "what is open" \
		"$(grep -vxE '/dev/fuse|/dev/null|anon_inode:\[eventfd\]|socket:\[[0-9]+\]' open)" \
		"/memfd:last words (deleted)
/memfd:outcome (deleted)
$PWD/disk.qcow2"
	outcome=$(find "/proc/$serving/fd" -type l -lname '*memfd:outcome*' -printf '%f')
	expect_match "how its outcome is open" "$(grep flags: "/proc/$serving/fdinfo/$outcome")" '00$'
	expect_equal "sockets" "$(grep -c socket: open)" 1
else
	expect_some_failure ls "/proc/$serving/fd/"
fi

# It works nevertheless, also with what it does seldom.
cmp disk.qcow2 plain.raw || fail "reading compressed clusters"
dd if=/dev/urandom of=random bs=64k count=64 status=none
dd if=random of=disk.qcow2 conv=notrunc,fsync bs=64k status=none
fallocate -p -o 1M -l 1M disk.qcow2
truncate -s 20M disk.qcow2
kill -STOP "$serving"
kill -CONT "$serving"
cmp -n 1M random disk.qcow2 || fail "reading what was written"
stop_export
expect_clean_check disk.qcow2

start_export --sandbox=off disk.qcow2
serving=$(serving_process)
expect_status Seccomp 0
expect_status NoNewPrivs 0
stop_export
