#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# When close(), fsync() or a write to an O_SYNC handle has returned, killing the server loses
# none of it, with every cache mode; and the image has no errors (it may have leaks).
. "$(dirname "$0")/lib.sh"

make_disk
for cache in writeback writethrough none; do
	for how in close fsync O_SYNC; do
		cp disk.qcow2 image
		cp plain.raw wanted
		start_export --cache=$cache image
		serving_process=$(serving_process) python3 - $how <<'END'
import os, random, signal, sys

how = sys.argv[1]
rng = random.Random(how)
wanted = open("wanted", "r+b")
flags = os.O_RDWR | (os.O_SYNC if how == "O_SYNC" else 0)
fd = os.open("image", flags)
for _ in range(40):
    at, data = rng.randrange(0, 15 << 20), rng.randbytes(rng.randrange(1, 200000))
    assert os.pwrite(fd, data, at) == len(data)
    wanted.seek(at)
    wanted.write(data)
if how == "close":
    os.dup(fd) # That it is the last close() is no condition.
    os.close(fd)
elif how == "fsync":
    os.fsync(fd)
os.kill(int(os.environ["serving_process"]), signal.SIGKILL)
END
		expect_server_exit 1
		expect_not_mounted image
		expect_content image wanted
		status=0
		qemu-img check -q image >/dev/null 2>&1 || status=$?
		[ $status -eq 0 ] || [ $status -eq 3 ] || fail "qemu-img check ended with $status"
	done
done
