#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --ready-fd gets one byte when the export is usable, and is closed without one where it never is;
# --watch-fd ends the export when the caller is gone, however he went; a service manager is told
# READY=1, and STOPPING=1 whoever ends it, through NOTIFY_SOCKET. In the foreground and in the
# background.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
expect_failure 2 "--ready-fd cannot be 'x'" "$IMGFUSE" --ready-fd=x disk.qcow2
expect_failure 2 "--watch-fd cannot be '2'" "$IMGFUSE" --watch-fd=2 disk.qcow2
expect_failure 1 "--ready-fd=77: Bad file descriptor" "$IMGFUSE" --ready-fd=77 disk.qcow2
expect_failure 1 "--watch-fd=7: is neither a pipe" "$IMGFUSE" --watch-fd=7 disk.qcow2 7<plain.raw
expect_not_mounted disk.qcow2

python3 - "$IMGFUSE" <<'END'
import faulthandler, os, select, signal, socket, subprocess, sys
faulthandler.dump_traceback_later(120, exit=True)
program = sys.argv[1]
target = os.path.realpath("mountpoint")

def is_mounted():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        return any(line.split()[4] == target for line in mounts)

def started_pid(background):
    if not background:
        return None
    with open("pidfile", encoding="ascii") as file:
        return int(file.read())

def command(background, *options):
    return [program, *(["-d", "-p", "pidfile"] if background else []), *options, "disk.qcow2",
            "mountpoint"]

def wait_for_end(process, pid):
    """The end of what was started, in the background of pid."""
    if pid:
        try:
            end = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        select.select([end], [], [])
        os.close(end)
    else:
        assert process.wait() == 0, process.returncode

for background in (False, True):
    # Ready, and nothing else comes.
    ready, other = os.pipe()
    process = subprocess.Popen(command(background, f"--ready-fd={other}"), pass_fds=[other],
                               stdout=subprocess.DEVNULL)
    os.close(other)
    assert os.read(ready, 2) == b"\n"
    assert is_mounted()
    assert os.read(ready, 2) == b"", "it is still open"
    os.close(ready)
    if background:
        assert process.wait() == 0
    pid = started_pid(background)
    os.kill(pid or process.pid, signal.SIGTERM)
    wait_for_end(process, pid)
    assert not is_mounted()

    # Never ready.
    ready, other = os.pipe()
    process = subprocess.Popen([*command(background, f"--ready-fd={other}"), "too", "much"],
                               pass_fds=[other], stderr=subprocess.DEVNULL)
    process.wait()
    process = subprocess.Popen([program, *(["-d"] if background else []), f"--ready-fd={other}",
                                "-f", "qcow2", "plain.raw", "mountpoint"], pass_fds=[other],
                               stderr=subprocess.DEVNULL)
    os.close(other)
    assert os.read(ready, 2) == b""
    assert process.wait() == 1
    os.close(ready)

    # The caller dies: a process in between, which is killed.
    read_end, write_end = os.pipe()
    said, say = os.pipe()
    caller = os.fork()
    if caller == 0:
        os.close(said)
        started = subprocess.Popen(command(background, f"--watch-fd={read_end}",
                                           f"--ready-fd={say}"),
                                   pass_fds=[read_end, say], stdout=subprocess.DEVNULL)
        os.close(say)
        signal.pause()
    os.close(read_end)
    os.close(say)
    os.write(write_end, b"of no interest")
    assert os.read(said, 1) == b"\n"
    if not background:
        with open(f"/proc/{caller}/task/{caller}/children", encoding="ascii") as file:
            pid = int(file.read())
    else:
        pid = started_pid(True)
    end = os.pidfd_open(pid)
    assert is_mounted() and not select.select([end], [], [], 0)[0]
    os.close(write_end)
    assert is_mounted() and not select.select([end], [], [], 0)[0], "the caller is still there"
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    select.select([end], [], [])
    os.close(end)
    os.close(said)
    assert not is_mounted()

    # A service manager, under both kinds of names.
    for name in (b"\0imgfuse-test-%d" % os.getpid(), os.fsencode(os.path.realpath("socket"))):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(name)
        environment = {**os.environ, "NOTIFY_SOCKET": os.fsdecode(name.replace(b"\0", b"@"))}
        process = subprocess.Popen(command(background), env=environment, stdout=subprocess.DEVNULL)
        lines = manager.recv(1000).decode().split("\n")
        if background:
            assert process.wait() == 0
        pid = started_pid(background)
        assert "READY=1" in lines and f"MAINPID={pid or process.pid}" in lines, lines
        assert is_mounted()
        if name.startswith(b"\0"):
            os.kill(pid or process.pid, signal.SIGTERM)
        else:
            subprocess.run(["fusermount3", "-u", target], check=True)
        assert "STOPPING=1" in manager.recv(1000).decode().split("\n")
        wait_for_end(process, pid)
        assert not select.select([manager], [], [], 0)[0], "it is told more"
        manager.close()
        if not name.startswith(b"\0"):
            os.unlink(name)
assert not os.path.exists("pidfile")
END
