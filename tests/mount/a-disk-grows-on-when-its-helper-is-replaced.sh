#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The helper, who can tell the kernel a size, is killed again and again while writers make the disk grow,
# ahead of what the server knows: no size that is too small gets to the kernel, and nothing is lost.
. "$(dirname "$0")/lib.sh"

make_disk
for format in qcow2 raw; do
	cp disk.qcow2 image.qcow2
	cp plain.raw image.raw
	cp plain.raw wanted
	start_export --growable image.$format
	for round in 1 2 3; do
		kill -KILL "$(helper_process)"
		python3 - image.$format wanted <<'END'
import os, sys
files = [os.open(name, os.O_RDWR) for name in sys.argv[1:]]
end = os.fstat(files[0]).st_size
for piece in range(24):
    for fd in files:
        assert os.pwrite(fd, bytes([piece + 1]) * 300000, end + piece * 300288) == 300000
END
		SECONDS=0
		until [ "$(grep -c "the helper was killed" "$log")" -eq $round ] && helper_process >/dev/null; do
			[ $SECONDS -lt 60 ] || fail "the helper is not replaced"
		done
	done
	sync image.$format
	[ $format = raw ] || truncate -s %512 wanted
	expect_equal "size" "$(size_of image.$format)" "$(size_of wanted)"
	cmp image.$format wanted
	stop_export
	expect_content image.$format wanted
done
expect_clean_check image.qcow2
