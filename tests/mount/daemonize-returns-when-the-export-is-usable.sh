#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --daemonize: with the command's return the export is there, the pid file names the server,
# and nothing of the caller's is held open. At the end the pid file goes.
. "$(dirname "$0")/lib.sh"

make_disk
for format in qcow2 raw; do
	image=disk.qcow2
	[ "$format" = qcow2 ] || image=plain.raw
	cp "$image" image
	exec {pipe}< <("$IMGFUSE" --daemonize --pidfile pidfile image 2>&1)
	status=0
	said=$(timeout 60 cat <&"$pipe") || status=$?
	exec {pipe}<&-
	server=$(cat pidfile)
	processes+=("$server")
	expect_equal "the end of its caller's pipe" $status 0
	expect_equal "what it said" "$said" ""
	expect_mounted image
	expect_equal "size" "$(size_of image)" $((16 << 20))
	cmp image plain.raw
	expect_equal "its working directory" "$(readlink "/proc/$server/cwd")" /
	expect_equal "its session" "$(ps -o sid= -p "$server" | tr -d ' ')" "$server"
	kill -INT "$server"
	wait_for_exit "$server"
	[ ! -e pidfile ] || fail "the pid file is still there"
	expect_not_mounted image
	cmp image "$image" || expect_content image plain.raw
done

# It also lets go of the pipes of whoever started it: else this would not return.
make_disk
said=$(timeout 60 "$IMGFUSE" -d -p "$scratch/pidfile" disk.qcow2 2>&1 </dev/null) || fail "$said"
server=$(cat "$scratch/pidfile")
processes+=("$server")
expect_equal "what it said" "$said" ""
"$IMGFUSE" -u disk.qcow2
