#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A write for which the disk cannot grow fails, and the export has its old size.
. "$(dirname "$0")/lib.sh"

# The snapshots of version 2 do not say how large the disk was, so that it cannot grow.
qemu-img create -q -f qcow2 -o compat=0.10 disk.qcow2 1M
qemu-img snapshot -c before disk.qcow2
start_export --growable disk.qcow2
exec 7<>disk.qcow2
python3 - <<'END'
import os
try:
    os.pwrite(7, b"Q" * 4096, 2 << 20)
except OSError:
    pass
else:
    raise SystemExit("the write succeeded")
END
exec 7>&-
expect_equal "size" "$(size_of disk.qcow2)" $((1 << 20))
expect_equal "bytes read" "$(wc -c <disk.qcow2)" $((1 << 20))
kill -s INT "$server"
wait_for_exit "$server" || fail "the daemon does not end"
