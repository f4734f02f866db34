#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Collapsing and inserting ranges is not what disks do, and there is nothing beyond the end to
# set aside: EOPNOTSUPP. Mode 0 inside the disk is
# good, past its end it needs --growable.
. "$(dirname "$0")/lib.sh"

make_disk
start_export disk.qcow2
for mode in -c -i -n; do
	expect_some_failure fallocate $mode -o 1M -l 1M disk.qcow2
	expect_match "fallocate $mode" "$(cat "$scratch/failure")" "not supported|unsupported"
done
fallocate -o 1M -l 1M disk.qcow2
expect_some_failure fallocate -o 15M -l 2M disk.qcow2
expect_match "what fallocate said" "$(cat "$scratch/failure")" "No space left"
expect_equal "size" "$(size_of disk.qcow2)" $((16 << 20))
cmp disk.qcow2 plain.raw
stop_export
expect_clean_check disk.qcow2
