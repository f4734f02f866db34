#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A signal ends imgfuse -u, which waits, and not the export: it says that this was not the end, and is
# no success.
. "$(dirname "$0")/lib.sh"

make_disk
start_export disk.qcow2
exec 7<disk.qcow2
"$IMGFUSE" -u --lazy disk.qcow2 2>"$scratch/log.lazy" 7<&- &
lazy=$!
log=$scratch/log.lazy wait_for_log "detached; waiting"
kill -TERM $lazy
status=0
wait $lazy || status=$?
expect_equal "the status" $status 143
expect_match "what it said last" "$(tail -n 1 log.lazy)" \
	"^imgfuse: $PWD/disk.qcow2: interrupted; .*not final yet"
kill -0 "$server" || fail "the export has ended, too"
exec 7<&-
expect_server_exit 0
expect_content disk.qcow2 plain.raw

# Also where nobody reads what it says.
start_export disk.qcow2
exec 7<disk.qcow2
python3 - "$IMGFUSE" <<'END'
import os, signal, subprocess, sys
read_end, write_end = os.pipe()
os.set_blocking(write_end, False)
try:
    while True:
        os.write(write_end, bytes(4096))
except BlockingIOError:
    os.set_blocking(write_end, True)
process = subprocess.Popen([sys.argv[1], "-u", "--lazy", "disk.qcow2"], stderr=write_end)
while b"disk.qcow2 " in open("/proc/self/mountinfo", "rb").read():
    os.sched_yield()
process.terminate()
try:
    assert process.wait(60) == -signal.SIGTERM, process.returncode
finally:
    process.kill()
END
exec 7<&-
expect_server_exit 0
