# SPDX-License-Identifier: LGPL-2.1-or-later
"""An export for a test: started, looked after, and ended in every way.

A scratch directory is made for each test; whatever is mounted or running in it is gone when it ends.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

PATIENCE = 60  # seconds that something may take before it counts as hanging

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
FALLOC_FL_ZERO_RANGE = 16

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]


class Wrong(Exception):
    """What a test has found."""


def skip(why):
    print(why)
    sys.exit(77)


def require(*tools):
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("/dev/fuse cannot be opened")
    for tool in tools:
        if not shutil.which(tool):
            skip(f"there is no {tool}")


def fallocate(fd, mode, offset, length):
    if _libc.fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, length) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def mounts_below(directory):
    """The mount points below a directory, the latest first."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            target = line.split(" ")[4].replace("\\040", " ")
            if target.startswith(directory + "/"):
                found.append(target)
    return found[::-1]


def is_mounted(path):
    path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return path in mounts_below(os.path.dirname(path))


def children(pid):
    """The processes that a process has started and not yet waited for."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                    if int(f.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(name))
    return found


def descendants(pid):
    """A process and all below it, children behind their parents."""
    found = [pid]
    for each in found:
        found.extend(children(each))
    return found


def name_of(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    return None


@contextlib.contextmanager
def scratch():
    directory = os.path.realpath(tempfile.mkdtemp(prefix="imgfuse-endure-"))
    try:
        yield directory
    finally:
        for target in mounts_below(directory):
            subprocess.run(["umount", "-f", target], stderr=subprocess.DEVNULL, check=False)
            subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL, check=False)
        if not mounts_below(directory):
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def hurry(path, what):
    """Where what is inside hangs, end the connection of the mount at path, so that it fails."""
    late = threading.Event()

    def give_up():
        late.set()
        print(f"{what} hangs", file=sys.stderr)
        subprocess.run(["umount", "-f", path], check=False)

    timer = threading.Timer(PATIENCE, give_up)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if late.is_set():
        raise Wrong(f"{what} hangs")


class Export:
    """imgfuse in the foreground: ready when this has been made."""

    def __init__(self, imgfuse, image, mountpoint, options=()):
        self.imgfuse = imgfuse
        self.mountpoint = mountpoint
        self.ends = []  # pidfds of what a kill should end
        self.log = open(mountpoint + ".log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([imgfuse, *options, image, mountpoint],
                                        stdout=subprocess.PIPE, stderr=self.log)
        if not self.process.stdout.readline():
            self.process.wait()
            raise Wrong(f"{image} is not exported: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read().strip()

    def processes(self):
        return descendants(self.process.pid)

    def kill(self, with_others=0.0, rng=None):
        """Kill the process that serves, and each of the others with some probability."""
        chosen = []
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                end = os.pidfd_open(pid)
                self.ends.append(end)
                if name_of(pid) == "imgfuse-server" or (rng and rng.random() < with_others):
                    chosen.append(end)
        # Stopped first: else those who are left for a moment would clean up.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for end in chosen:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(end, number)

    def clear_away(self):
        """After a kill: wait for the end of all, and remove what is still mounted."""
        for end in self.ends:
            if not select.select([end], [], [], PATIENCE)[0]:
                raise Wrong("a process does not end after the server was killed")
            os.close(end)
        self.ends.clear()
        self.process.wait()
        if is_mounted(self.mountpoint):
            subprocess.run([self.imgfuse, "-u", self.mountpoint], stderr=subprocess.DEVNULL,
                           timeout=PATIENCE, check=False)
        if is_mounted(self.mountpoint):
            raise Wrong("the mount cannot be removed")
        self.close()

    def end(self):
        """End it as ^C does. Returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(PATIENCE)
        if is_mounted(self.mountpoint):
            raise Wrong("still mounted after the end")
        self.close()
        return status

    def close(self):
        self.process.stdout.close()
        self.log.close()
