#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Root ends what an ordinary user has mounted as an export. A server that does not answer is named
# after a while, and one that calls root's processes its own is not believed: nobody waits for those.
. "$(dirname "$0")/lib.sh"
requires_root
requires timeout

make_disk
become_users_directory
declare -A ending
for silence in getattr open ioctl; do
	as_user cp plain.raw $silence
	start_hostile_server "$PWD/$silence" $silence
	# what still has its output open would be waited for, too
	(trap - ERR; timeout -s KILL 100 "$IMGFUSE" -u $silence 2>&1 | cat >said.$silence) &
	ending[$silence]=$!
done
for silence in getattr open ioctl; do
	status=0
	wait "${ending[$silence]}" || status=$?
	expect_equal "the status without $silence" $status 1
	expect_match "what it said" "$(cat said.$silence)" \
		"$silence: is a mount of the user with the id 65534, whose server has not answered"
	expect_mounted $silence
	umount -l $silence
done

for named in 1 $$; do
	start_hostile_server "$PWD/disk.qcow2" "$named"
	expect_failure 1 "user with the id 65534, but it calls processes of another user its own" \
		timeout -s KILL 100 "$IMGFUSE" -u disk.qcow2
	expect_not_mounted disk.qcow2
	server=$hostile expect_server_exit 0
done

# What is honest is believed.
start_hostile_server "$PWD/disk.qcow2"
timeout -s KILL 100 "$IMGFUSE" -u disk.qcow2
server=$hostile expect_server_exit 0
