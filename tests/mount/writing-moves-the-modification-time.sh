#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A write to the export gives it a new modification time, with every cache mode.
. "$(dirname "$0")/lib.sh"

# Under the write-back cache the time moves behind the last writer's back.
wait_for_new_time()
{
	python3 - <<'END'
import os, sys, time
deadline = time.monotonic() + 60
while os.stat("disk.qcow2").st_mtime < time.time() - 300:
    if time.monotonic() > deadline:
        sys.exit(1)
    os.sched_yield()
END
}

make_disk
for cache in writeback writethrough none; do
	touch -d '2001-02-03 04:05:06 UTC' disk.qcow2
	start_export --cache=$cache disk.qcow2
	printf x | dd of=disk.qcow2 bs=1 conv=notrunc,fsync status=none
	wait_for_new_time || fail "--cache=$cache: the time is still $(stat -c %y disk.qcow2)"
	# What somebody sets while he writes, as cp -p does, stays.
	python3 -c 'import os
fd = os.open("disk.qcow2", os.O_RDWR)
os.write(fd, b"y")
os.utime(fd, (10**9, 10**9))
os.close(fd)'
	expect_equal "--cache=$cache: the time that was set" "$(stat -c %Y disk.qcow2)" 1000000000
	stop_export
done
