#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel lists mounts by their numbers, and an older one can be moved over a newer one. Then the
# export is what is seen at the path, and is ended there; and the same for one that somebody has laid
# over it while it was just being unmounted.
. "$(dirname "$0")/lib.sh"
requires_root
requires mount

make_disk
: >first
: >second
start_export disk.qcow2 first
mount --bind second second
mount --move first second
cmp second plain.raw
"$IMGFUSE" -u second
expect_server_exit 0
umount second
expect_clean_check disk.qcow2

mkfifo gate
start_export disk.qcow2
"${unmount_gated[@]}" "$IMGFUSE" -u disk.qcow2 2>said &
ending=$!
processes+=("$ending")
exec 8<gate # it has looked, and is about to unmount
mount --bind second disk.qcow2
exec 8<&-
# It has unmounted that one, and looks again; how often it then tries is its business.
python3 - $ending <<'END'
import os, select, sys
end = os.pidfd_open(int(sys.argv[1]))
while not select.select([end], [], [], 0)[0]:
    os.close(os.open("gate", os.O_RDONLY | os.O_NONBLOCK))
END
wait $ending || fail "it ended with $?, saying: $(cat said)"
expect_not_mounted disk.qcow2
expect_server_exit 0
expect_clean_check disk.qcow2
