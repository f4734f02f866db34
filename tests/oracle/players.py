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
        self._add("die")
        self.end()

    def data_map(self):
        """The disk as [(offset, length, is data)], when no session is open."""
        done = subprocess.run([self.command[0], "--read-only", self.command[-1]], input=b"map\n",
                              stdout=subprocess.PIPE, timeout=TIMEOUT, check=True)
        lines = (line.split() for line in done.stdout.decode().splitlines())
        return [(int(offset), int(length), kind == "data") for kind, offset, length in lines]

    def check_snapshot(self, name, content):
        script = f"size {len(content)}\nread 0 {len(content)} {zlib.crc32(content)}\nmap\n"
        done = subprocess.run([self.command[0], "--read-only", f"--snapshot={name}",
                               self.command[-1]], input=script.encode(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, check=False)
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise Failure(f"replay --snapshot={name}: status {done.returncode}: {text}")

    def abandon(self):
        self.lines = None


class MountPlayer:
    """Works on the export like any other program."""

    TRUNCATE_FLUSHES = False  # what the kernel has in its cache stays there
    CACHES = ("writeback", "writethrough", "none")

    def __init__(self, program, path, plan):
        self.program = program
        self.image = path
        self.pidfile = path + ".pid"
        self.options = [f"--cache={self.CACHES[plan.seed // 2 % len(self.CACHES)]}"]
        if plan.keep_space:
            self.options.append("--discard=off")
        if plan.cache:
            self.options.append(f"--cache-size={plan.cache}")
        # In place, and elsewhere.
        self.target = path if plan.seed % 2 else path + ".disk"
        self.fd = None

    def _imgfuse(self, *arguments):
        done = subprocess.run([self.program, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT,
                              check=False)
        if done.returncode:
            raise Failure(f"imgfuse {' '.join(arguments)}: status {done.returncode}: "
                          f"{done.stdout.decode(errors='replace').strip()}")

    def _open(self):
        self.fd = os.open(self.target, os.O_RDWR | os.O_CLOEXEC)

    def _close(self):
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)

    def begin(self):
        if self.target != self.image and not os.path.exists(self.target):
            with open(self.target, "wb"):
                pass
        self._imgfuse("-d", "-p", self.pidfile, *self.options, self.image, self.target)
        self._open()

    def end(self):
        self._close()
        self._imgfuse("--unmount", self.target)

    def write(self, offset, length, seed):
        data = memoryview(data_of(seed, length))
        while data:
            done = os.pwrite(self.fd, data, offset)
            data = data[done:]
            offset += done

    def _fallocate(self, mode, offset, length):
        if LIBC.fallocate(self.fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def zero(self, offset, length):
        self._fallocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length)

    def discard(self, offset, length):
        self._fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length)

    def read(self, offset, expected):
        content = b""
        while len(content) < len(expected):
            more = os.pread(self.fd, len(expected) - len(content), offset + len(content))
            if not more:
                break
            content += more
        if content != expected:
            at = next((i for i, pair in enumerate(zip(content, expected)) if pair[0] != pair[1]),
                      len(content))
            raise Failure(f"read {offset} {len(expected)}: wrong from byte {at} on")

    def size(self, size):
        found = os.fstat(self.fd).st_size
        if found != size:
            raise Failure(f"the size is {found} instead of {size}")

    def truncate(self, size):
        os.ftruncate(self.fd, size)

    def truncate_refused(self, size):
        try:
            os.ftruncate(self.fd, size)
        except OSError:
            return
        raise Failure(f"truncate {size} was not refused")

    def flush(self):
        os.fsync(self.fd)
        # The next reads shall come from the image.
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def writeback(self):
        self._close()
        self._open()

    def reopen(self):
        self.end()
        self.begin()

    def map(self, content):
        """What is called a hole must read as zeroes, while the disk is open for writing too."""
        for offset, length, data in self._extents(self.fd, len(content)):
            if not data and content[offset:offset + length] != bytes(length):
                raise Failure(f"the hole at {offset} of {length} bytes is none")

    @staticmethod
    def _extents(fd, size):
        extents = []
        at = 0
        while at < size:
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            if hole > at:
                extents.append((at, hole - at, True))
            try:
                at = os.lseek(fd, hole, os.SEEK_DATA) if hole < size else size
            except OSError:  # ENXIO: there is no more data
                at = size
            if at > hole:
                extents.append((hole, at - hole, False))
        return extents

    @contextlib.contextmanager
    def _shown(self, option):
        """An export that cannot be written."""
        self._imgfuse("-d", "-p", self.pidfile, option, self.image, self.target)
        self.fd = os.open(self.target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield
        finally:
            self.end()

    def data_map(self):
        with self._shown("--read-only"):
            return self._extents(self.fd, os.fstat(self.fd).st_size)

    def check_snapshot(self, name, content):
        with self._shown(f"--snapshot={name}"):
            self.size(len(content))
            self.read(0, content)
            self.map(content)

    def parallel(self, threads, calls):
        with concurrent.futures.ThreadPoolExecutor(threads) as executor:
            futures = [executor.submit(getattr(self, method), *arguments)
                       for method, arguments in calls]
            for future in futures:
                future.result()

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
