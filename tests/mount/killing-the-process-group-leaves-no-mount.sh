#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Whoever ends a job in a hurry kills its process group, at any moment of the start: those who are in
# it die together, and what is left unmounts.
. "$(dirname "$0")/lib.sh"

make_disk
python3 - "${ATTEMPTS:-150}" "$IMGFUSE" "$PWD/disk.qcow2" <<'END'
import faulthandler, fcntl, os, random, select, signal, subprocess, sys, time
faulthandler.dump_traceback_later(240, exit=True)
attempts, program, target = sys.argv[1:]
seed = random.randrange(1 << 32)
random.seed(seed)
print("seed", seed)

def is_mounted(mounts):
    mounts.seek(0)
    return any(line.split()[4] == target for line in mounts)

for attempt in range(int(attempts)):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts, \
            open(target, "r+b") as image:
        changes = select.poll()
        changes.register(mounts, select.POLLPRI | select.POLLERR)
        process = subprocess.Popen([program, target], start_new_session=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not is_mounted(mounts):
            changes.poll(1000)
            assert process.poll() is None, "it ended by itself"
        for _ in range(random.randrange(20000)):
            pass  # the moment differs
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # The server has locked it as long as it lives.
        fcntl.lockf(image, fcntl.LOCK_EX)
        deadline = time.monotonic() + 60
        while is_mounted(mounts):
            assert time.monotonic() < deadline, f"attempt {attempt}: a dead mount is left"
            changes.poll(1000)
subprocess.run(["qemu-img", "check", "-q", "disk.qcow2"], check=True)
END
