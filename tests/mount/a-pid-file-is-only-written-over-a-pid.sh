#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The pid file of a running export is not taken over, and neither is a file that holds
# something else.
. "$(dirname "$0")/lib.sh"

make_disk
cp disk.qcow2 other.qcow2
start_daemon disk.qcow2
expect_failure 1 "pidfile" "$IMGFUSE" -d -p "$scratch/pidfile" other.qcow2
expect_equal "the pid file" "$(cat pidfile)" "$server"
echo "precious words" >precious
expect_failure 1 "precious" "$IMGFUSE" -d -p precious other.qcow2
expect_equal "the precious file" "$(cat precious)" "precious words"
expect_not_mounted other.qcow2

# A process id has no NULs, and the image and the mount point are no pid files, whatever they hold.
head -c 20 /dev/zero >precious
expect_failure 1 "precious: holds something else" "$IMGFUSE" -d -p precious other.qcow2
expect_equal "the precious file" "$(tr -d '\0' <precious | wc -c) $(wc -c <precious)" "0 20"
echo 12345 >digits
expect_failure 1 "digits: is the image or the MOUNTPOINT" "$IMGFUSE" -d -f raw -p digits digits
ln digits again
expect_failure 1 "again: is the image or the MOUNTPOINT" "$IMGFUSE" -d -f raw -p again digits
: >mountpoint
expect_failure 1 "mountpoint: is the image or the MOUNTPOINT" \
	"$IMGFUSE" -d -p mountpoint other.qcow2 mountpoint
expect_equal "the digits" "$(cat digits)" 12345
kill -TERM "$server"
wait_for_exit "$server"

# What a machine that crashed left behind is no obstacle.
echo 4194304 >pidfile
start_daemon disk.qcow2
expect_equal "the pid file" "$(cat pidfile)" "$server"
kill -TERM "$server"
wait_for_exit "$server"
