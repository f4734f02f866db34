#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A server that was torn from its mount may still bring what it has to the image. Then imgfuse -u
# removes the dead mount, but does not say that the image is final.
. "$(dirname "$0")/lib.sh"
requires_root

make_disk
for mountpoint in disk.qcow2 elsewhere; do
	[ -e $mountpoint ] || : >$mountpoint
	printf 0. >fault
	launch "${faulty[@]}" "$IMGFUSE" disk.qcow2 $mountpoint
	exec {user_fd}<>$mountpoint
	printf written >&"$user_fd"
	sync $mountpoint
	printf w | dd of=fault conv=notrunc status=none
	expect_some_failure umount -f $mountpoint
	expect_failure 1 "may still write to the image.*complete is not known" "$IMGFUSE" -u $mountpoint
	expect_not_mounted $mountpoint
	printf 0 | dd of=fault conv=notrunc status=none
	exec {user_fd}>&-
	expect_server_exit 0
	printf written | dd of=plain.raw conv=notrunc status=none
	expect_no_errors disk.qcow2
	expect_content disk.qcow2 plain.raw
done

# What is really dead is no failure, as before.
start_export disk.qcow2
serving=$(serving_process) helper=$(helper_process)
kill -STOP "$helper" "$server"
kill -KILL "$serving" "$server" "$helper"
wait_for_exit "$serving"
"$IMGFUSE" -u disk.qcow2
