# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Two ways to do operations on an image with our code: LibraryPlayer hands scripts to the program
replay, MountPlayer exports the image with imgfuse and uses system calls.

A session lasts from begin() to end() or die(). Ranges lie inside the disk. A read gets what it
must find; either player raises Failure where it finds something else.
"""

import concurrent.futures
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import zlib

from model import Failure, data_of

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
FALLOC_FL_ZERO_RANGE = 16

LIBC = ctypes.CDLL(None, use_errno=True)
TIMEOUT = 60


class LibraryPlayer:
    """Collects the operations of a session, and runs them all at its end."""

    TRUNCATE_FLUSHES = True

    def __init__(self, program, path, plan):
        self.command = [program]
        if plan.keep_space:
            self.command.append("--keep-space")
        if plan.cache:
            self.command.append(f"--cache={plan.cache}")
        self.command.append(path)
        self.lines = None

    def begin(self):
        self.lines = []

    def _add(self, *words):
        self.lines.append(" ".join(str(word) for word in words))

    def write(self, offset, length, seed):
        self._add("write", offset, length, seed)

    def zero(self, offset, length):
        self._add("zero", offset, length)

    def discard(self, offset, length):
        self._add("discard", offset, length)

    def read(self, offset, expected):
        self._add("read", offset, len(expected), zlib.crc32(expected))

    def size(self, size):
        self._add("size", size)

    def truncate(self, size):
        self._add("truncate", size)

    def truncate_refused(self, size):
        self._add("truncate-refused", size)

    def flush(self):
        self._add("flush")

    def writeback(self):
        self._add("writeback")

    def reopen(self):
        self._add("reopen")

    def map(self, _content):
        self._add("map")

    def parallel(self, threads, calls):
        """calls: [(method, arguments)], which need no order."""
        self._add("parallel", threads)
        for method, arguments in calls:
            getattr(self, method)(*arguments)
        self._add("end")

    def end(self):
        lines, self.lines = self.lines, None
        try:
            done = subprocess.run(self.command, input="\n".join(lines + [""]).encode(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired as expired:
            raise Failure(f"replay: no end after {TIMEOUT} s") from expired
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise Failure(f"replay: status {done.returncode}: {text[-3000:]}")

    def die(self):
        """Kill the server, and wait for the supervisor to remove what it leaves."""
        with open(self.pidfile, encoding="ascii") as stream:
            supervisor = int(stream.read())
        server = int(subprocess.run(["pgrep", "-P", str(supervisor), "-x", "imgfuse-server"],
                                    stdout=subprocess.PIPE, check=True).stdout)
        pidfd = os.pidfd_open(supervisor)
        try:
            os.kill(server, signal.SIGKILL)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(TIMEOUT * 1000):
                raise Failure(f"process {supervisor} does not end")
        finally:
            os.close(pidfd)
        if os.path.exists(self.pidfile):
            raise Failure("the pid file of a killed server is still there")
        if self._is_mounted():
            raise Failure("the mount of a killed server is still there")
        self._remove_mount()

    def _is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            return any(line.split()[4] == self.target for line in mounts)

    def _remove_mount(self):
        is_mounted = self._is_mounted()
        if is_mounted:
            # By force: without a server even closing a descriptor may wait for ever.
            subprocess.run(["umount", "-f", self.target], stderr=subprocess.DEVNULL, check=False)
        try:
            self._close()
        except OSError:
            pass  # the server is dead
        if is_mounted:
            subprocess.run(["fusermount3", "-u", "-z", self.target], stderr=subprocess.DEVNULL,
                           check=False)

    def abandon(self):
        """Whatever happened: leave no mount."""
        self._remove_mount()
