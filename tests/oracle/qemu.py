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


def create(path, size, options=None, backing=None, backing_format=None, image_format="qcow2"):
    command = ["qemu-img", "create", "-q", "-f", image_format]
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


def compress(path):
    """Store an image, as far as it is not zero, in compressed clusters."""
    compressed = path + ".compressed"
    run("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", "-c", path, compressed)
    os.rename(compressed, path)


def data_map(path, files):
    """
    The disk as [(offset, length, is data)], neighbours of one kind joined. files: what holds the
    data of the image, of its backing image, and so on: where they have holes, there is no data.
    """
    _, text = run("qemu-img", "map", "-f", "qcow2", "--output=json", path)
    extents = []
    for entry in json.loads(text):
        offset, length = entry["start"], entry["length"]
        if entry["zero"]:
            extents.append((offset, length, False))
        elif "offset" in entry:
            host_offset = entry["offset"]
            extents += [(at - host_offset + offset, count, data) for at, count, data
                        in host_map(files[entry["depth"]], host_offset, length)]
        else:
            extents.append((offset, length, True))  # compressed
    return join_map(extents)


def host_map(path, offset, length):
    """A range of a host file as [(offset, length, is data)]; behind its end is a hole."""
    extents = []
    end = offset + length
    with open(path, "rb") as stream:
        while offset < end:
            data = next_data(stream.fileno(), offset, end)
            if data > offset:
                extents.append((offset, data - offset, False))
            offset = data
            if offset < end:
                hole = min(os.lseek(stream.fileno(), offset, os.SEEK_HOLE), end)
                extents.append((offset, hole - offset, True))
                offset = hole
    return extents


def next_data(fd, offset, end):
    try:
        return min(os.lseek(fd, offset, os.SEEK_DATA), end)
    except OSError:  # ENXIO: there is no more
        return end


def join_map(extents):
    joined = []
    for offset, length, data in extents:
        if not length:
            continue  # QEMU's map of a disk of no bytes
        if joined and joined[-1][2] == data:
            joined[-1] = (joined[-1][0], joined[-1][1] + length, data)
        else:
            joined.append((offset, length, data))
    return joined


class Io:
    """Commands for qemu-io, all done by finish()."""

    BATCH = 200  # commands for one process

    def __init__(self, path, patterns, image_format="qcow2"):
        self.path = path
        self.format = image_format
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
            status, text = run("qemu-io", "-f", self.format, *arguments, self.path, accept=(0, 1))
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
