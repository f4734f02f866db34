# SPDX-License-Identifier: LGPL-2.1-or-later
"""qemu-img and qemu-io: what they do to an image, and what they say of one."""

import json
import os
import subprocess
import tempfile

from model import SEEDS, Failure, ring_of


def run(*command, accept=(0,)):
    """Run a program. Returns its status and what it printed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace")
    if done.returncode not in accept:
        raise Failure(f"{' '.join(command)[:300]}: status {done.returncode}: {text.strip()}")
    return done.returncode, text


def create(path, size, options=None, backing=None, backing_format=None):
    command = ["qemu-img", "create", "-q", "-f", "qcow2"]
    if options:
        command += ["-o", ",".join(f"{key}={value}" for key, value in options.items())]
    if backing:
        command += ["-b", backing, "-F", backing_format]
    run(*command, path, str(size))


def check(path, leaks_allowed):
    """Raise where qemu-img check finds an error, or leaks that are not allowed."""
    status, text = run("qemu-img", "check", "-f", "qcow2", path, accept=(0, 1, 2, 3))
    if status == 0 or (status == 3 and leaks_allowed):
        return
    raise Failure(f"qemu-img check: status {status}: {text.strip()}")


def repair_leaks(path):
    run("qemu-img", "check", "-q", "-f", "qcow2", "-r", "leaks", path)


def content(path, image_format="qcow2", snapshot=None):
    """The disk that an image, or an internal snapshot of it, holds."""
    command = ["qemu-img", "convert", "-f", image_format, "-O", "raw", "-S", "4k"]
    if snapshot:
        command += ["-l", f"snapshot.name={snapshot}"]
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), suffix=".raw") as output:
        run(*command, path, output.name)
        with open(output.name, "rb") as stream:
            return stream.read()


def compare(one, other):
    status, text = run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", one, other,
                       accept=(0, 1, 2, 3))
    if status:
        raise Failure(f"qemu-img compare: {text.strip()}")


def data_map(path):
    """The disk as [(offset, length, is data)], neighbours of one kind joined."""
    _, text = run("qemu-img", "map", "-f", "qcow2", "--output=json", path)
    return join_map((entry["start"], entry["length"], entry["data"] or not entry["zero"])
                    for entry in json.loads(text))


def join_map(extents):
    joined = []
    for offset, length, data in extents:
        if joined and joined[-1][2] == data:
            joined[-1] = (joined[-1][0], joined[-1][1] + length, data)
        else:
            joined.append((offset, length, data))
    return joined


class Io:
    """Commands for qemu-io, all done by finish()."""

    BATCH = 200  # commands for one process

    def __init__(self, path, patterns):
        self.path = path
        self.patterns = patterns
        self.commands = []

    def _add(self, command):
        self.commands.append(command)

    def write(self, offset, length, seed, compressed=False):
        self._add(f"write {'-c ' if compressed else ''}-s {self.patterns}/{seed} {offset} {length}")

    def zero(self, offset, length, unmap):
        self._add(f"write {'-zu' if unmap else '-z'} {offset} {length}")

    def discard(self, offset, length):
        """Whole clusters only; what the rest reads as then is not said."""
        self._add(f"discard {offset} {length}")

    def resize(self, old_size, size):
        self._add(f"truncate {size}")
        if size > old_size:
            # In the cluster where the disk ended QEMU shows again what was there before.
            self.zero(old_size, size - old_size, unmap=True)

    def finish(self):
        if not self.commands:
            return
        commands, self.commands = self.commands, []
        for begin in range(0, len(commands), self.BATCH):
            arguments = [part for command in commands[begin:begin + self.BATCH]
                         for part in ("-c", command)]
            status, text = run("qemu-io", "-f", "qcow2", *arguments, self.path, accept=(0, 1))
            errors = [line for line in text.splitlines()
                      if not line.startswith(("wrote ", "discard ")) and "ops/sec" not in line]
            if status or errors:
                raise Failure(f"qemu-io {self.path}: {' '.join(errors)}")


def make_patterns(directory):
    """Files that hold what each seed's data repeats, for qemu-io write -s."""
    os.mkdir(directory)
    for seed in range(SEEDS):
        with open(os.path.join(directory, str(seed)), "wb") as stream:
            stream.write(ring_of(seed))
    return directory
