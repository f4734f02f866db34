#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --read-only: no write permission, and root, whom that does not stop, gets EROFS; so does
# chmod +w. The image file is not touched.
. "$(dirname "$0")/lib.sh"

expect_errno() # NAME PYTHON-STATEMENT
{
	python3 - "$@" <<'END'
import errno, os, sys
wanted = [getattr(errno, name) for name in sys.argv[1].split("|")]
try:
    exec(sys.argv[2])
except OSError as error:
    assert error.errno in wanted, error
else:
    raise AssertionError(sys.argv[2] + " succeeded")
END
}

make_disk
chmod 644 disk.qcow2
cp -p disk.qcow2 copy.qcow2
cp plain.raw copy.raw
for format in qcow2 raw; do
	image=disk.qcow2
	[ $format = qcow2 ] || image=plain.raw
	start_export -r $image
	expect_equal "mode" "$(stat -c %a $image)" 444
	cmp $image copy.raw
	expect_equal "size" "$(size_of $image)" $((16 << 20))
	denied="EROFS|EACCES"
	[ "$(id -u)" -ne 0 ] || denied=EROFS
	expect_errno "$denied" "os.open('$image', os.O_RDWR)"
	expect_errno "$denied" "os.open('$image', os.O_WRONLY | os.O_TRUNC)"
	expect_errno "$denied" "os.truncate('$image', 4096)"
	expect_errno EROFS "os.chmod('$image', 0o644)"
	expect_equal "mode" "$(stat -c %a $image)" 444
	stop_export
done
cmp disk.qcow2 copy.qcow2
cmp plain.raw copy.raw
