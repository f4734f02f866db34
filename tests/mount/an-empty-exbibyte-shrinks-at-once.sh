#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What was never written is dropped by the table that there is not, rather than bit by bit: the
# largest disk shrinks in a moment of the processor's time.
. "$(dirname "$0")/lib.sh"

qemu-img create -q -f qcow2 -o cluster_size=2M disk.qcow2 1E
qemu-io -f qcow2 -c "write -P 7 $((1 << 59)) 64k" -c "write -P 8 1G 64k" disk.qcow2 >/dev/null
(
	ulimit -t 30
	exec "$IMGFUSE" --daemonize --pidfile pidfile disk.qcow2
)
server=$(cat pidfile)
processes+=("$server")
truncate -s 2G disk.qcow2
expect_equal "size" "$(size_of disk.qcow2)" $((2 << 30))
"$IMGFUSE" --unmount disk.qcow2
wait_for_exit "$server"
expect_clean_check disk.qcow2
qemu-io -r -f qcow2 -c "read -P 8 1G 64k" disk.qcow2 | grep -q '^read 65536'
expect_equal "the space that was taken and is not" "$(qemu-img map --output=json disk.qcow2 |
	grep -c '"data": true')" 1
