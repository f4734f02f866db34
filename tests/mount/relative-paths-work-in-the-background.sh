#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The daemon changes to / in the background, and still finds the image's backing file, unmounts
# what it has mounted, and removes its pid file.
. "$(dirname "$0")/lib.sh"

make_disk
mkdir directory
mv disk.qcow2 directory/base.qcow2
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 directory/overlay.qcow2
"$IMGFUSE" -d -p directory/pidfile directory/overlay.qcow2
server=$(cat directory/pidfile)
processes+=("$server")
cmp directory/overlay.qcow2 plain.raw
kill -TERM "$server"
wait_for_exit "$server"
[ ! -e directory/pidfile ] || fail "the pid file is still there"
expect_not_mounted directory/overlay.qcow2
expect_equal "format" "$(format_of directory/overlay.qcow2)" qcow2

cd directory
"$IMGFUSE" -dp ./pidfile ../directory/./overlay.qcow2
server=$(cat pidfile)
processes+=("$server")
cmp overlay.qcow2 ../plain.raw
"$IMGFUSE" -u overlay.qcow2
[ ! -e pidfile ] || fail "the pid file is still there"
expect_not_mounted overlay.qcow2
