#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where a signal cannot unmount, the export goes on, and the next signal tries it again: nothing is
# lost.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
mkdir bin
fusermount=$(command -v fusermount3)
become_users_directory
# libfuse mounts by the one that it was installed with.
printf '#!/bin/sh\necho not now >&2\nexit 1\n' >bin/fusermount3
chmod 755 bin/fusermount3
launch "${user[@]:-env}" PATH="$PWD/bin" "$IMGFUSE" disk.qcow2
kill -TERM "$server"
wait_for_log 'cannot unmount: not now'
expect_mounted disk.qcow2
as_user dd if=block of=disk.qcow2 bs=1M seek=4 conv=notrunc status=none
ln -sf "$fusermount" bin/fusermount3
stop_export
expect_not_mounted disk.qcow2
dd if=block of=plain.raw bs=1M seek=4 conv=notrunc status=none
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
