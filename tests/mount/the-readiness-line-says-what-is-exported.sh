#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# IMAGE: exported as raw at MOUNTPOINT (FORMAT, SIZE, MODE), ^C to revert
. "$(dirname "$0")/lib.sh"

qemu-img create -q -f qcow2 disk.qcow2 20G
truncate -s 1536M plain.raw
: >mountpoint

start_export disk.qcow2
expect_equal "what it said" "$readiness" \
	"disk.qcow2: exported as raw at disk.qcow2 (qcow2, 20 GiB, read-write), ^C to revert"
stop_export

start_export --read-only ./plain.raw "$PWD/mountpoint"
expect_equal "what it said" "$readiness" \
	"./plain.raw: exported as raw at $PWD/mountpoint (raw, 1.5 GiB, read-only), ^C to revert"
stop_export
expect_equal "everything else that it said" "$(cat "$log")" ""
