#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A mount that somebody detaches before the export is usable, and still holds: the export ends with
# status 1, and does not wait for him.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
python3 - "$IMGFUSE" "$PWD/mountpoint" <<'END'
import faulthandler, os, random, select, signal, subprocess, sys
faulthandler.dump_traceback_later(150, exit=True)
program, target = sys.argv[1:3]

def is_mounted(mounts):
    mounts.seek(0)
    return any(line.split()[4] == target for line in mounts)

def attempt():
    """Returns what the export said when it was given up, or "" where it was usable before that."""
    export = subprocess.Popen([program, "disk.qcow2", target], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        changes = select.poll()
        changes.register(mounts, select.POLLPRI | select.POLLERR)
        while not is_mounted(mounts):
            changes.poll(1000)
            assert export.poll() is None, "the export ended by itself"
    for _ in range(random.randrange(10000)):
        pass  # the moment differs
    export.send_signal(signal.SIGSTOP)
    holder = os.open(target, os.O_PATH)
    subprocess.run(["fusermount3", "-uz", target], check=True)
    export.send_signal(signal.SIGCONT)
    usable = export.stdout.readline()
    if not usable:
        assert export.wait() == 1, export.returncode
    os.close(holder)
    said = export.communicate()[1].decode()
    return "" if usable else said

for _ in range(200):
    if "cannot set the size" in attempt():
        sys.exit(0)
sys.exit("it was never lost in time")
END
expect_content disk.qcow2 plain.raw
