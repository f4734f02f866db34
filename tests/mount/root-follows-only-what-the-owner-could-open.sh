#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The image of a stranger does not show him files of root's: root opens only those backing and data
# files that the owner of the image could open himself, unless --references=all says so.
. "$(dirname "$0")/lib.sh"

requires_root
requires setpriv
pattern secret $((1 << 20))
chmod 600 secret
qemu-img create -q -f qcow2 -b secret -F raw evil.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw data.qcow2 1M
chmod 600 data.raw
chown 65534:65534 evil.qcow2 data.qcow2
chmod 755 .
expect_failure 1 "evil.qcow2: its backing file secret: .*owner.*--references=all" "$IMGFUSE" evil.qcow2
expect_failure 1 "data.qcow2: its data file data.raw: .*owner.*--references=all" "$IMGFUSE" data.qcow2
expect_failure 1 "evil.qcow2: .*--references=deny" "$IMGFUSE" --references=deny evil.qcow2
start_export --references=all evil.qcow2
cmp evil.qcow2 secret
stop_export
chmod 644 secret
start_export evil.qcow2
cmp evil.qcow2 secret
stop_export
