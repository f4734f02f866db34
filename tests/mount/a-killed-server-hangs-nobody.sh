#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A server that is killed while it uses its own mount, which it does to set the size, ends all the
# same: nobody holds the kernel's end of the session any more, and who asks gets ENOTCONN.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
python3 - "$IMGFUSE" "$PWD/mountpoint" <<'END'
import os, random, select, signal, subprocess, sys
program, target = sys.argv[1:]

def is_mounted(mounts):
    mounts.seek(0)
    return any(line.split()[4] == target for line in mounts)

for attempt in range(150):
    server = subprocess.Popen([program, "disk.qcow2", "mountpoint"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        changes = select.poll()
        changes.register(mounts, select.POLLPRI | select.POLLERR)
        while not is_mounted(mounts):
            changes.poll(1000)
            assert server.poll() is None, "the server ended by itself"
    for _ in range(random.randrange(3000)):
        pass  # the moment differs
    server.kill()
    end = os.pidfd_open(server.pid)
    ended = bool(select.select([end], [], [], 60)[0])
    os.close(end)
    if not ended:
        subprocess.run(["umount", "-f", target], check=False)
    server.wait()
    if subprocess.run(["umount", "-l", target], check=False, stderr=subprocess.DEVNULL).returncode:
        subprocess.run(["fusermount3", "-uz", target], check=True)
    assert ended, f"the server hangs after attempt {attempt}"
END
