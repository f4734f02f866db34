#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A signal to the command that waits for the export to be usable calls it off: the command fails,
# nothing is mounted, and nobody has the image any more.
. "$(dirname "$0")/lib.sh"

make_disk
mkfifo gate
log=$scratch/log.command
for signal in TERM INT HUP; do
	"${gated[@]}" "$IMGFUSE" -dv -p pidfile disk.qcow2 >"$log" 2>&1 </dev/null &
	command=$!
	processes+=("$command")
	exec 8<gate # it is about to mount
	kill "-$signal" "$command"
	wait_for_log "got SIG$signal"
	exec 8<&-
	status=0
	wait "$command" || status=$?
	expect_equal "status after SIG$signal" "$status" 1
	expect_not_mounted disk.qcow2
	[ ! -e pidfile ] || fail "there is a pid file"
	# This takes QEMU's locks for writing.
	qemu-io -f qcow2 -c 'write 0 512' disk.qcow2 >/dev/null
done

# So it is in the foreground.
"${gated[@]}" "$IMGFUSE" -v disk.qcow2 >"$log" 2>&1 </dev/null &
command=$!
processes+=("$command")
exec 8<gate
kill -TERM "$command"
wait_for_log "got SIGTERM"
exec 8<&-
status=0
wait "$command" || status=$?
expect_equal "status in the foreground" "$status" 1
expect_not_mounted disk.qcow2

# It comes when the export is usable, and the command is about to say so.
"${gated[@]}" "$IMGFUSE" -d -p pidfile disk.qcow2 >"$log" 2>&1 </dev/null &
command=$!
processes+=("$command")
exec 8<gate
kill -STOP "$command"
exec 8<&-
until [ -s pidfile ]; do :; done
server=$(cat pidfile)
processes+=("$server")
kill -TERM "$command"
kill -CONT "$command"
status=0
wait "$command" || status=$?
expect_equal "status after a late signal" "$status" 1
expect_not_mounted disk.qcow2
[ ! -e pidfile ] || fail "there is a pid file"
