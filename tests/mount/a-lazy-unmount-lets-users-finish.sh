#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# After umount -l the image's path shows the image, while those who hold the export go on
# reading and writing; when the last of them closes it, everything is in the image.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
start_export disk.qcow2
exec 7<>disk.qcow2
dd if=block of=/proc/self/fd/7 bs=1M seek=4 conv=notrunc status=none
fusermount3 -u -z disk.qcow2
expect_not_mounted disk.qcow2
# Through the descriptor itself: opening it anew would need the mount.
python3 - <<'END'
import os
block = open("block", "rb").read()
assert os.pread(7, len(block), 4 << 20) == block
assert os.pwrite(7, block, 8 << 20) == len(block)
END
exec 7>&-
expect_server_exit 0
for at in 4 8; do dd if=block of=plain.raw bs=1M seek=$at conv=notrunc status=none; done
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
