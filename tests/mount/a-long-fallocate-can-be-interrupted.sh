#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Punching a hole can take hours where the tables of a disk say for many TiB that there is nothing.
# Whoever waits for it can be killed meanwhile, and the export can be ended.
. "$(dirname "$0")/lib.sh"

python3 - <<'END'
import struct
cluster, l1_size = 1 << 21, 1 << 18
l2_offset = 4 * cluster
with open("endless.qcow2", "wb") as image:
    image.write(struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 21, l1_size << 39, 0,
                            l1_size, 3 * cluster, cluster, 1, 0, 0, 0, 0, 0, 4, 112))
    image.seek(cluster)
    image.write(struct.pack(">Q", 2 * cluster))
    image.seek(2 * cluster)
    image.write(b"\0\1" * 5)
    image.seek(3 * cluster)
    image.write(struct.pack(">Q", l2_offset) * l1_size)
    image.truncate(l2_offset + cluster)
END

# Sets puncher to a process that punches a hole as large as the disk, and waits until the server is
# at work, which it is for nothing else.
start_punching()
{
	fallocate -p -l $((1 << 57)) endless.qcow2 2>/dev/null &
	puncher=$!
	processes+=("$puncher")
	python3 - "$(serving_process)" <<'END'
import os, sys
def worked():
    with open(f"/proc/{sys.argv[1]}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[11])
before = worked()
while worked() < before + 20:
    os.sched_yield()
END
}

start_export endless.qcow2
start_punching
kill -KILL "$puncher"
wait_for_exit "$puncher" || fail "who has punched cannot be killed"
forget_process "$puncher"
stop_export

start_export endless.qcow2
start_punching
kill -INT "$server"
wait_for_log 'in use'
kill -INT "$server"
kill -INT "$server"
expect_server_exit 1
expect_not_mounted endless.qcow2
wait_for_exit "$puncher" || fail "who has punched still waits"
forget_process "$puncher"
