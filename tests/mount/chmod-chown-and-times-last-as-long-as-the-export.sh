#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Changed owner, mode and times are kept as long as the export lives, so that cp -p, touch and
# chmod work; the image file does not get them.
. "$(dirname "$0")/lib.sh"

make_disk
chmod 644 disk.qcow2
before=$(stat -c '%a %u %g' disk.qcow2)
start_export disk.qcow2
chmod 600 disk.qcow2
expect_equal "mode" "$(stat -c %a disk.qcow2)" 600
if [ "$(id -u)" -eq 0 ]; then
	chown 12:34 disk.qcow2
	expect_equal "owner" "$(stat -c %u:%g disk.qcow2)" 12:34
fi
touch -d '1999-01-02 03:04:05.678 UTC' disk.qcow2
expect_equal "time" "$(stat -c %Y disk.qcow2)" "$(date -d '1999-01-02 03:04:05 UTC' +%s)"
touch disk.qcow2
[ "$(stat -c %Y disk.qcow2)" -ge $(($(date +%s) - 300)) ] || fail "touch set another time"
# Gives the target its source's mode and times, and complains where it cannot.
touch -d '2005-06-07 08:09:10 UTC' plain.raw
chmod 640 plain.raw
cp -p plain.raw disk.qcow2
expect_equal "mode" "$(stat -c %a disk.qcow2)" 640
expect_equal "time" "$(stat -c %Y disk.qcow2)" "$(stat -c %Y plain.raw)"
stop_export
expect_equal "the image's attributes" "$(stat -c '%a %u %g' disk.qcow2)" "$before"
expect_content disk.qcow2 plain.raw
