#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A write past the end of the disk is either refused, and its writer told so each time, whatever
# else is refused meanwhile; or, with --growable, it stays, though somebody opens the disk with
# O_TRUNC before it is synced.
. "$(dirname "$0")/lib.sh"

make_disk
start_export disk.qcow2
python3 - <<'END'
import os, time
fd = os.open("disk.qcow2", os.O_RDWR)
deadline = time.monotonic() + 3
rounds = 0
while rounds < 300 or (rounds < 3000 and time.monotonic() < deadline):
    rounds += 1
    os.pwrite(fd, b"x" * 4096, 16 << 20)
    # For a while, in which the size may be put right that the one before has made wrong.
    end = time.monotonic() + rounds % 16 / 16000
    while time.monotonic() < end:
        os.sched_yield()
    try:
        os.fsync(fd)
    except OSError:
        continue
    raise SystemExit(f"fsync() {rounds} said nothing")
END
stop_export
expect_content disk.qcow2 plain.raw

for format in qcow2 raw; do
	cp plain.raw image.raw
	cp disk.qcow2 image.qcow2
	start_export --growable image.$format
	exec {user_fd}<>image.$format
	dd if=plain.raw of=/dev/fd/"$user_fd" bs=1M count=1 seek=16 conv=notrunc status=none
	: >image.$format
	sync image.$format
	exec {user_fd}>&-
	stop_export
	(cat plain.raw && head -c 1M plain.raw) >wanted
	expect_content image.$format wanted
done
