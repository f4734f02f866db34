#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kills.py --imgfuse=PROGRAM: kill an export at random moments, and look for what was lost.

Threads write to an export, each to parts of the disk of its own. The server is killed at some moment;
then the image is checked, exported again, and read. A sector must hold what was last acknowledged,
by a close(), an fsync(), or a write() with O_SYNC, or something that was written after that.
"""

import argparse
import os
import random
import struct
import sys
import threading

import exports
import images
from exports import Wrong

SECTOR = 512
SIZE = 8 << 20


class Disk:
    """What the disk holds that is acknowledged."""

    def __init__(self, content):
        self.known = content
        self.sequence = 0
        self.lock = threading.Lock()

    def next_sequence(self):
        with self.lock:
            self.sequence += 1
            return self.sequence


def sector_of(sequence, sector):
    """What a write makes of a sector."""
    return struct.pack("<QQ", sequence, sector) * (SECTOR // 16)


class Writer(threading.Thread):
    """Writes to every few stripes of the disk, until the server is killed."""

    def __init__(self, path, disk, rng, stripe, which, writers):
        super().__init__()
        self.path, self.disk, self.rng, self.stripe = path, disk, rng, stripe
        self.stripes = range(which, SIZE // stripe, writers)
        self.pending = {}  # sector: what it may hold besides what is known
        self.killed = threading.Event()
        self.wrong = None
        self.acknowledged = self.operations = 0

    def run(self):
        try:
            while not self.killed.is_set():
                self.session()
        except OSError as error:
            if not self.killed.is_set():
                self.wrong = f"before the kill: {error}"

    def session(self):
        synchronous = self.rng.random() < 0.25
        fd = os.open(self.path, os.O_RDWR | (os.O_SYNC if synchronous else 0))
        try:
            for _ in range(self.rng.choice((1, 2, 5, 20))):
                if self.rng.random() < 0.2 and not synchronous:
                    self.zero(fd)
                else:
                    self.write(fd)
                    if synchronous:
                        self.acknowledge()
                if self.rng.random() < 0.1:
                    os.fsync(fd)
                    self.acknowledge()
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        self.acknowledge()

    def place(self):
        start = self.rng.choice(self.stripes) * self.stripe // SECTOR
        count = self.stripe // SECTOR
        first = self.rng.randrange(count) if self.rng.random() < 0.5 else 0
        return start + first, self.rng.randint(1, min(count - first, 256))

    def write(self, fd):
        first, count = self.place()
        sequence = self.disk.next_sequence()
        data = b"".join(sector_of(sequence, sector) for sector in range(first, first + count))
        self.note(first, data)
        done = os.pwrite(fd, data, first * SECTOR)
        if done != len(data):
            raise OSError(f"{done} of {len(data)} bytes were written")

    def zero(self, fd):
        first, count = self.place()
        self.note(first, bytes(count * SECTOR))
        mode = self.rng.choice((exports.FALLOC_FL_PUNCH_HOLE, exports.FALLOC_FL_ZERO_RANGE))
        exports.fallocate(fd, mode, first * SECTOR, count * SECTOR)

    def note(self, first, data):
        self.operations += 1
        for i in range(len(data) // SECTOR):
            self.pending.setdefault(first + i, []).append(data[i * SECTOR:(i + 1) * SECTOR])

    def acknowledge(self):
        for sector, versions in self.pending.items():
            self.disk.known[sector * SECTOR:(sector + 1) * SECTOR] = versions[-1]
        self.pending.clear()
        self.acknowledged += 1


def read_all(path, size):
    fd = os.open(path, os.O_RDONLY)
    try:
        content = bytearray()
        while len(content) < size:
            piece = os.pread(fd, min(1 << 20, size - len(content)), len(content))
            if not piece:
                raise Wrong(f"the disk ends at {len(content)}")
            content += piece
        return content
    finally:
        os.close(fd)


def compare(disk, pending, content):
    """Is everything there that was acknowledged? What is there is known from now on."""
    for at in range(0, SIZE, 1 << 16):
        if content[at:at + (1 << 16)] == disk.known[at:at + (1 << 16)]:
            continue
        for sector in range(at // SECTOR, (at + (1 << 16)) // SECTOR):
            found = content[sector * SECTOR:(sector + 1) * SECTOR]
            known = disk.known[sector * SECTOR:(sector + 1) * SECTOR]
            if found != known and found not in pending.get(sector, ()):
                raise Wrong(f"sector {sector} holds {bytes(found[:16]).hex()}, not "
                            f"{bytes(known[:16]).hex()}, nor one of "
                            f"{len(pending.get(sector, ()))} later writes")
    disk.known = content


class Tally:
    kills = operations = acknowledged = leaky = 0


def one_kill(arguments, directory, path, kind, disk, pending, rng, tally):
    """Export, look at what is there, write, kill. Returns what may be there besides."""
    mountpoint = os.path.join(directory, "mnt")
    with open(mountpoint, "a", encoding="utf-8"):
        pass
    cache = rng.choice(("writeback", "writeback", "writethrough", "none"))
    export = exports.Export(arguments.imgfuse, path, mountpoint,
                            [*images.arguments(kind), f"--cache={cache}"])
    stripe = rng.choice((4096, 16384, 65536, 262144))
    writers = [Writer(mountpoint, disk, random.Random(rng.random()), stripe, i, 3)
               for i in range(3)]

    def kill():
        for writer in writers:
            writer.killed.set()
        export.kill(rng.choice((0, 0, 0.5, 1)), rng)

    try:
        with exports.hurry(mountpoint, "the export"):
            compare(disk, pending, read_all(mountpoint, SIZE))
            # A random moment is what this is about: nothing is waited for.
            timer = threading.Timer(min(rng.expovariate(20), 1), kill)
            for writer in writers:
                writer.start()
            timer.start()
            for writer in writers:
                writer.join()
            timer.join()
    finally:
        if not writers[0].killed.is_set():
            kill()
        export.clear_away()
    later = {}
    for writer in writers:
        if writer.wrong:
            raise Wrong(writer.wrong)
        later.update(writer.pending)
        tally.operations += writer.operations
        tally.acknowledged += writer.acknowledged
    tally.kills += 1
    tally.leaky += images.check(directory, kind, True)
    return later


def look_at_the_end(arguments, directory, path, kind, disk, pending):
    mountpoint = os.path.join(directory, "mnt")
    export = exports.Export(arguments.imgfuse, path, mountpoint, images.arguments(kind))
    try:
        compare(disk, pending, read_all(mountpoint, SIZE))
    finally:
        status = export.end()
    if status != 0:
        raise Wrong(f"ends with status {status}")
    images.check(directory, kind, True)


def one_image(arguments, directory, kind, rng, kills, tally):
    path, content = images.make(directory, kind, rng, SIZE)
    disk, pending = Disk(content), {}
    for _ in range(kills):
        pending = one_kill(arguments, directory, path, kind, disk, pending, rng, tally)
    look_at_the_end(arguments, directory, path, kind, disk, pending)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--imgfuse", required=True)
    parser.add_argument("--kills", type=int, default=16)
    parser.add_argument("--each", type=int, default=4, help="kills for each image")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--kind", choices=images.KINDS)
    arguments = parser.parse_args()
    exports.require("qemu-img")
    kinds = [arguments.kind] if arguments.kind else list(images.KINDS)
    tally = Tally()
    number = 0
    while tally.kills < arguments.kills:
        kind = kinds[(arguments.seed + number) % len(kinds)]
        with exports.scratch() as directory:
            try:
                one_image(arguments, directory, kind, random.Random(f"{arguments.seed}/{number}"),
                          min(arguments.each, arguments.kills - tally.kills), tally)
            except Wrong as wrong:
                print(f"FOUND: seed {arguments.seed}, {kind}, after {tally.kills} kills: {wrong}")
                return 1
        number += 1
    print(f"seed {arguments.seed}: {tally.kills} kills, {tally.operations} writes and zeroes, "
          f"{tally.acknowledged} acknowledgements; {tally.leaky} images with leaks; nothing lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
