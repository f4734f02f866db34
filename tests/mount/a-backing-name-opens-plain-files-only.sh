#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Names in an image come from strangers: those of protocols are refused, and so are devices and
# pipes, by name, before anything is mounted. A loop of backing files ends with an error.
. "$(dirname "$0")/lib.sh"

named() # BACKING-NAME
{
	rm -f overlay.qcow2
	qemu-img create -q -f qcow2 -u -b "$1" -F raw overlay.qcow2 1M
}

# shellcheck disable=SC2016 # no expansion meant
for name in 'json:{"driver":"file","filename":"/etc/passwd"}' nbd://localhost/x ssh://host/x; do
	named "$name"
	expect_failure 1 "overlay.qcow2: .*$(cut -d : -f 1 <<<"$name")" "$IMGFUSE" overlay.qcow2
done
mkfifo fifo
named fifo
expect_failure 1 "fifo" timeout 30 "$IMGFUSE" overlay.qcow2
named /dev/zero
expect_failure 1 "/dev/zero" "$IMGFUSE" overlay.qcow2
named .
expect_failure 1 "overlay.qcow2" "$IMGFUSE" overlay.qcow2
qemu-img create -q -f qcow2 -u -b second.qcow2 -F qcow2 first.qcow2 1M
qemu-img create -q -f qcow2 -u -b first.qcow2 -F qcow2 second.qcow2 1M
expect_failure 1 "first.qcow2|second.qcow2" timeout 30 "$IMGFUSE" first.qcow2
qemu-img create -q -f qcow2 self.qcow2 1M
qemu-img rebase -q -u -b self.qcow2 -F qcow2 self.qcow2
expect_failure 1 "self.qcow2" timeout 30 "$IMGFUSE" self.qcow2
for name in *.qcow2; do expect_not_mounted "$name"; done
