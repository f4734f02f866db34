#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What goes wrong before the export is usable is the caller's to know: words on its standard
# error, status 1, no pid file, nothing mounted, no process left.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
expect_failure 1 "missing.qcow2" "$IMGFUSE" -d -p pidfile missing.qcow2
cp disk.qcow2 broken.qcow2
printf '\xff' | dd of=broken.qcow2 bs=1 seek=20 conv=notrunc status=none # cluster_bits
expect_failure 1 "broken.qcow2.*cluster" "$IMGFUSE" -d -p pidfile broken.qcow2
expect_failure 1 "no/such/place/pidfile" "$IMGFUSE" -d -p no/such/place/pidfile disk.qcow2
[ ! -e pidfile ] || fail "there is a pid file"
expect_not_mounted disk.qcow2
expect_not_mounted broken.qcow2
# Nobody has it locked: this takes QEMU's locks for writing.
qemu-io -f qcow2 -c 'write 0 512' disk.qcow2 >/dev/null
