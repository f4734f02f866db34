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
kill -TERM "$server"
wait_for_exit "$server"

# What a machine that crashed left behind is no obstacle.
echo 4194304 >pidfile
start_daemon disk.qcow2
expect_equal "the pid file" "$(cat pidfile)" "$server"
kill -TERM "$server"
wait_for_exit "$server"
