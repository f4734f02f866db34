# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is measured: imgfuse, its peers, and the plain raw file, each showing an image at a path."""

import os
import pathlib
import select
import shutil
import signal
import subprocess
import time

# Whoever has not ended by then hangs.
PATIENCE = 120


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


class Imgfuse:
    name = "imgfuse"

    def __init__(self, program):
        self.program = os.path.realpath(program)

    def version(self):
        return run(self.program, "--version").strip()

    def start(self, image, mountpoint, pidfile):
        run(self.program, "--daemonize", f"--pidfile={pidfile}", image, mountpoint)

    def stop(self, pid, mountpoint):
        os.kill(pid, signal.SIGINT)


class QemuStorageDaemon:
    name = "qemu-storage-daemon"

    def __init__(self, program):
        self.program = program

    def version(self):
        return run(self.program, "--version").splitlines()[0]

    def start(self, image, mountpoint, pidfile):
        run(self.program, "--daemonize", "--pidfile", pidfile,
            "--blockdev", f"node-name=p,driver=file,filename={image},discard=unmap",
            "--blockdev", "node-name=f,driver=qcow2,file=p,discard=unmap",
            "--export", f"type=fuse,id=e,node-name=f,mountpoint={mountpoint},writable=on")

    def stop(self, pid, mountpoint):
        os.kill(pid, signal.SIGINT)


class Nbdfuse:
    """nbdfuse, in front of a qemu-nbd that it starts."""
    name = "nbdfuse"

    def version(self):
        return f"{run('nbdfuse', '--version').splitlines()[0]}, {run('qemu-nbd', '--version').splitlines()[0]}"

    def start(self, image, mountpoint, pidfile):
        # It stays in the foreground; the pid file is there when the mount is usable.
        os.mkfifo(pidfile)
        self.process = subprocess.Popen(["nbdfuse", "-P", pidfile, mountpoint,
                                         "[", "qemu-nbd", "-f", "qcow2", image, "]"])
        fd = os.open(pidfile, os.O_RDONLY | os.O_NONBLOCK)
        readable = select.select([fd], [], [], PATIENCE)[0]
        text = os.read(fd, 32) if readable else b""
        os.close(fd)
        os.unlink(pidfile)
        if not text:
            self.process.kill()
            raise RuntimeError("nbdfuse does not start")
        pathlib.Path(pidfile).write_bytes(text)

    def stop(self, pid, mountpoint):
        run("fusermount3", "-u", mountpoint)
        self.process.wait(PATIENCE)
        os.unlink(f"{mountpoint}.pid")


class Plain:
    """The raw file itself: what there would be without an export."""
    name = "plain file"

    def version(self):
        return "the raw file without any export"


class Export:
    """A subject that shows an image at self.path; for the plain file, a copy of the raw one."""

    def __init__(self, subject, directory, image, raw):
        self.subject = subject
        self.path = str(directory / "mount")
        self.pid = self.ready = None
        if isinstance(subject, Plain):
            run("cp", "--sparse=always", str(raw), self.path)
            return
        pathlib.Path(self.path).touch()
        pidfile = f"{self.path}.pid"
        begin = time.monotonic()
        subject.start(str(image), self.path, pidfile)
        self.ready = (time.monotonic() - begin) * 1000
        self.pid = int(pathlib.Path(pidfile).read_text(encoding="ascii"))

    def memory(self):
        """What its processes take, in MiB; what they share with others counts in part."""
        total, pids = 0, [self.pid]
        for pid in pids:
            for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                pids += [int(word) for word in (thread / "children").read_text().split()]
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        return total / 1024

    def stop(self):
        """Returns when the image is final."""
        if self.pid is not None:
            fd = os.pidfd_open(self.pid)
            self.subject.stop(self.pid, self.path)
            if not select.select([fd], [], [], PATIENCE)[0]:
                raise RuntimeError(f"{self.subject.name} does not end")
            os.close(fd)
        os.unlink(self.path)


def all_subjects(program, peer):
    subjects = [Imgfuse(program), QemuStorageDaemon(peer)]
    if shutil.which("nbdfuse") and shutil.which("qemu-nbd"):
        subjects.append(Nbdfuse())
    return subjects + [Plain()]
