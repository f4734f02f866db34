#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Owner, group, mode and times are the image file's, and st_size is the disk's.
. "$(dirname "$0")/lib.sh"

make_disk
chmod 640 disk.qcow2
[ "$(id -u)" -ne 0 ] || chown 12:34 disk.qcow2
touch -d '2001-02-03 04:05:06.789 UTC' disk.qcow2
wanted=$(stat -c '%a %u %g %Y %y %F' disk.qcow2)
for cache in writeback writethrough none; do
	start_export --cache=$cache disk.qcow2
	expect_equal "attributes with --cache=$cache" "$(stat -c '%a %u %g %Y %y %F' disk.qcow2)" \
		"$wanted"
	expect_equal "size" "$(size_of disk.qcow2)" $((16 << 20))
	stop_export
	expect_equal "attributes afterwards" "$(stat -c '%a %u %g %Y %y %F' disk.qcow2)" "$wanted"
done
