#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With --cache=writethrough and none a write is in the image's file when write(2) returns, and
# with all three modes many writers and readers at once see one disk.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
pattern block 65536
for cache in writethrough none; do
	cp plain.raw image.raw
	start_export --cache=$cache image.raw mountpoint
	exec 7<>mountpoint
	python3 -c 'import os; os.pwrite(7, open("block", "rb").read(), 3 << 20)'
	cmp <(tail -c +$(((3 << 20) + 1)) image.raw | head -c 65536) block
	exec 7>&-
	stop_export
done

for cache in writeback writethrough none; do
	cp disk.qcow2 image.qcow2
	cp plain.raw wanted
	start_export --cache=$cache image.qcow2
	for file in image.qcow2 wanted; do
		python3 - $file <<'END'
import os, random, sys, threading
fd = os.open(sys.argv[1], os.O_RDWR)
errors = []

def work(number):
    """Writes to every fourth 4 KiB, and reads back what it wrote."""
    rng = random.Random(number)
    for _ in range(300):
        at = (rng.randrange(1024) * 4 + number) * 4096
        data = rng.randbytes(4096)
        os.pwrite(fd, data, at)
        if os.pread(fd, 4096, at) != data:
            errors.append((number, at))

threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
assert not errors, errors
END
	done
	cmp image.qcow2 wanted
	stop_export
	expect_content image.qcow2 wanted
	expect_clean_check image.qcow2
done
