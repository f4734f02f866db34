#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# As mount(8) does: an image file that the caller may not write is exported read-only, with a
# warning, be it for its mode or for the file system that it lies on.
. "$(dirname "$0")/lib.sh"

make_disk
become_users_directory
: >mountpoint
chmod 444 disk.qcow2
[ "$(id -u)" -ne 0 ] || chown 0:0 disk.qcow2
[ "$(id -u)" -ne 0 ] || chown 65534 mountpoint
start_export_as_user disk.qcow2 mountpoint
expect_match "what it said" "$readiness" "read-only"
expect_match "its warning" "$(cat "$log")" "warning: disk.qcow2: .*read-only"
as_user cmp mountpoint plain.raw
if as_user bash -c ': >>mountpoint' 2>/dev/null; then fail "it opens for writing"; fi
as_user "$IMGFUSE" -u mountpoint
expect_server_exit 0

requires_root
mkdir read-only
mount --bind read-only read-only
cp disk.qcow2 read-only/
mount -o remount,bind,ro read-only
start_export read-only/disk.qcow2
expect_match "what it said" "$readiness" "read-only"
expect_match "its warning" "$(cat "$log")" "warning: read-only/disk.qcow2: .*read-only"
cmp read-only/disk.qcow2 plain.raw
stop_export
