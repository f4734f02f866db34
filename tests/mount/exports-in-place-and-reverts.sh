#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The image's own path shows the raw disk while the daemon runs, and the image again afterwards;
# each of the three signals ends it well.
. "$(dirname "$0")/lib.sh"

make_disk
for signal in INT TERM HUP; do
	start_export disk.qcow2
	expect_mounted disk.qcow2
	expect_equal "size" "$(size_of disk.qcow2)" $((16 << 20))
	cmp disk.qcow2 plain.raw
	expect_equal "format" "$(format_of disk.qcow2)" raw
	stop_export "$signal"
	expect_not_mounted disk.qcow2
	expect_equal "format" "$(format_of disk.qcow2)" qcow2
	expect_content disk.qcow2 plain.raw
	expect_clean_check disk.qcow2
done
