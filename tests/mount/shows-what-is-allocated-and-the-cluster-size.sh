#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# st_blocks is what is allocated and st_blksize the cluster size; so du and cp know.
. "$(dirname "$0")/lib.sh"

make_disk -o cluster_size=128k
space=$(space_of disk.qcow2)
start_export disk.qcow2
expect_equal "block size" "$(stat -c %o disk.qcow2)" 131072
expect_equal "allocated" "$(space_of disk.qcow2)" "$space"
pattern block $((2 << 20))
dd if=block of=disk.qcow2 bs=1M seek=5 conv=notrunc,fsync status=none
now=$(space_of disk.qcow2)
[ "$now" -ge $((space + (2 << 20))) ] || fail "2 MiB written, but only $((now - space)) more"
[ "$now" -le $((space + (4 << 20))) ] || fail "2 MiB written, but $((now - space)) more"
stop_export
