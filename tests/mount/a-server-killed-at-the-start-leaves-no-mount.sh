#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An ordinary user's server is killed at any moment of the start, while fusermount3 works for it,
# say: afterwards nothing is mounted, and no process left.
. "$(dirname "$0")/lib.sh"

make_disk
become_users_directory
python3 - "${ATTEMPTS:-60}" "$PWD/disk.qcow2" ${user[@]+"${user[@]}"} "$IMGFUSE" <<'END'
import faulthandler, os, random, signal, subprocess, sys
faulthandler.dump_traceback_later(120, exit=True)
attempts, target, *command = sys.argv[1:]
seed = random.randrange(1 << 32)
random.seed(seed)
print("seed", seed)

def find_server(process):
    """A descriptor of the server, once it is there; None where all has ended."""
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    with open(f"/proc/{child}/comm", encoding="ascii") as name:
                        if name.read().strip() == "imgfuse-server":
                            return os.pidfd_open(child)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return None

for attempt in range(int(attempts)):
    supervisor = subprocess.Popen([*command, target], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = find_server(supervisor)
    for _ in range(random.randrange(100000)):
        pass  # the moment differs
    if server is not None:
        signal.pidfd_send_signal(server, signal.SIGKILL)
        os.close(server)
    assert supervisor.wait() == 1, (attempt, supervisor.returncode)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        assert not any(line.split()[4] == target for line in mounts), f"attempt {attempt}: mounted"
END
