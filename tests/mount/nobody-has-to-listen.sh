#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where the caller reads no more what is said to him, through a pipe that is full, a terminal that was
# stopped by ^S, --ready-fd or a service manager's socket, a signal ends the export all the same. What
# he shares with us stays as it was.
. "$(dirname "$0")/lib.sh"

make_disk
python3 - "$IMGFUSE" "$PWD/disk.qcow2" <<'END2'
import faulthandler, fcntl, os, pty, select, signal, socket, subprocess, sys, termios
faulthandler.dump_traceback_later(150, exit=True)
program, target = sys.argv[1:]

def full_pipe():
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(write_end, bytes(size))
        except BlockingIOError:
            pass
    os.set_blocking(write_end, True)
    return read_end, write_end

def stopped_terminal():
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    return master, slave

def full_manager():
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind("socket")
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.setblocking(False)
    try:
        while True:
            client.sendto(b"x", "socket")
    except BlockingIOError:
        pass
    return manager

def run(name, *options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **others):
    print(name, flush=True)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        def is_mounted():
            mounts.seek(0)
            return any(line.split()[4] == target for line in mounts)

        process = subprocess.Popen([program, "-p", "pidfile", *options, target], stdout=stdout,
                                   stderr=stderr, stdin=subprocess.DEVNULL, **others)
        try:
            while not os.path.exists("pidfile"):  # then it is about to be told to the caller
                assert process.poll() is None, "the export ended by itself"
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0, process.returncode
            assert not is_mounted() and not os.path.exists("pidfile")
        finally:
            process.kill()
            process.wait()

for name, make in (("a full pipe", full_pipe), ("a stopped terminal", stopped_terminal)):
    other, ours = make()
    run(f"standard error: {name}", "--verbose", stderr=ours)
    run(f"standard output: {name}", stdout=ours)
    run(f"--ready-fd: {name}", f"--ready-fd={ours}", pass_fds=[ours])
    assert not fcntl.fcntl(ours, fcntl.F_GETFL) & os.O_NONBLOCK
    if name == "a stopped terminal":
        termios.tcflow(ours, termios.TCOON)
    os.close(other)
    os.close(ours)
manager = full_manager()
run("a service manager", env={**os.environ, "NOTIFY_SOCKET": os.path.realpath("socket")})
END2
expect_clean_check disk.qcow2
