#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A second signal ends even an export that is in use: what had been written by then is in
# the image, the status tells of the rest, and nothing stays mounted.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
start_export --pidfile "$PWD/pidfile" disk.qcow2
exec 7<>disk.qcow2
python3 -c 'import os; os.pwrite(7, open("block", "rb").read(), 4 << 20)'
kill -TERM "$server"
wait_for_log 'in use'
kill -TERM "$server"
expect_server_exit 1
[ ! -e pidfile ] || fail "the pid file is still there"
expect_not_mounted disk.qcow2
if python3 -c 'import os; os.pread(7, 512, 0)' 2>/dev/null; then
	fail "the descriptor still reads"
fi
exec 7>&-
dd if=block of=plain.raw bs=1M seek=4 conv=notrunc status=none
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
