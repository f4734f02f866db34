#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who takes the place of a supervisor that was killed has its process id in the pid file, and tells
# the service manager. That goes on for a while but not for ever: without any of them the server
# serves who has the export open until the end, and nothing is lost.
. "$(dirname "$0")/lib.sh"

make_disk
python3 - "$IMGFUSE" "$PWD/disk.qcow2" <<'END2'
import faulthandler, os, select, signal, socket, subprocess, sys
faulthandler.dump_traceback_later(120, exit=True)
program, target = sys.argv[1:]
MOST = 4  # HEIRS_MAX

def named_child(pid, name):
    """Wait for the child of that name."""
    while True:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            for child in map(int, file.read().split()):
                with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                    if comm.read().strip() == name:
                        return child

def said_pid():
    with open("pidfile", encoding="ascii") as file:
        return int(file.read())

manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("socket")
process = subprocess.Popen([program, "-p", "pidfile", target], stdout=subprocess.DEVNULL,
                           env={**os.environ, "NOTIFY_SOCKET": os.path.realpath("socket")})
assert f"MAINPID={process.pid}\n" in manager.recv(1000).decode()
server = os.pidfd_open(named_child(process.pid, "imgfuse-server"))
disk = os.open(target, os.O_RDWR)
try:
    for heir in range(MOST):
        helper = named_child(said_pid(), "imgfuse-helper")
        os.kill(said_pid(), signal.SIGKILL)
        state = manager.recv(1000).decode().split("\n")
        assert f"MAINPID={helper}" in state and "STOPPING=1" in state, (helper, state)
        assert said_pid() == helper, (said_pid(), helper)
    helper = named_child(said_pid(), "imgfuse-helper")
    end = os.pidfd_open(helper)
    os.kill(said_pid(), signal.SIGKILL)
    assert select.select([end], [], [], 60)[0], "it is taken over again"
    os.pwrite(disk, b"news", 0)
    os.fsync(disk)
    assert not select.select([server], [], [], 0)[0]
finally:
    os.close(disk)
assert select.select([server], [], [], 60)[0], "the server is left"
process.wait()
END2
expect_not_mounted disk.qcow2
printf news | dd of=plain.raw conv=notrunc status=none
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
