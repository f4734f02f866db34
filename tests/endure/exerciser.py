#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""exerciser.py --imgfuse=PROGRAM: everything one can do to a file, in random order, on an export.

Each operation is made on the export and on a copy of the disk in memory, and whatever is read must
be the same. Now and then the export is ended, and the image checked and compared by qemu-img.
"""

import argparse
import errno
import mmap
import os
import random
import subprocess
import sys

import exports
import images
from exports import Wrong

PAGE = 4096
SIZE = 3 << 20
MOST = 4 << 20  # the disk does not grow beyond this
LONGEST = 200_000

WEIGHTS = {
    "read": 20, "write": 25, "mapped_read": 10, "mapped_write": 15, "punch": 8, "zero": 6,
    "truncate": 3, "append": 2, "sync": 4, "sync_map": 3, "reopen": 4, "seek": 4, "refused": 1,
    "again": 1,
}


class Exerciser:
    def __init__(self, imgfuse, directory, kind, cache, rng, weights):
        self.imgfuse, self.directory, self.kind = imgfuse, directory, kind
        self.weights = weights
        self.cache, self.rng = cache, rng
        self.path, self.disk = images.make(directory, kind, rng, SIZE)
        self.mountpoint = os.path.join(directory, "mnt")
        with open(self.mountpoint, "w", encoding="utf-8"):
            pass
        self.resizable = kind != "snapshot"
        self.mapping = None
        self.done = []
        self.start()

    # ---- the export ----

    def start(self):
        self.export = exports.Export(self.imgfuse, self.path, self.mountpoint,
                                     [*images.arguments(self.kind), f"--cache={self.cache}",
                                      "--growable"])
        self.open()

    def open(self):
        flags = os.O_RDWR | (os.O_SYNC if self.rng.random() < 0.1 else 0)
        self.fd = os.open(self.mountpoint, flags)
        self.map()

    def map(self):
        """Map all of the disk. Without a cache there are no pages that could be shared."""
        self.mapping = mmap.mmap(self.fd, len(self.disk)) if self.cache != "none" else None

    def unmap(self):
        if self.mapping:
            self.mapping.close()
        self.mapping = None

    def close(self):
        self.unmap()
        os.close(self.fd)

    def stop(self):
        self.close()
        status = self.export.end()
        if status != 0:
            raise Wrong(f"ends with status {status}")
        images.check(self.directory, self.kind, False)
        plain = os.path.join(self.directory, "wanted")
        with open(plain, "wb") as f:
            f.write(self.disk)
        form = images.arguments(self.kind)[0].partition("=")[2]
        done = subprocess.run(["qemu-img", "compare", "-f", form, "-F", "raw", "image", "wanted"],
                              cwd=self.directory, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "size mismatch" in done.stdout:
            raise Wrong(f"qemu-img compare: {done.stdout.strip()} {done.stderr.strip()}")

    # ---- what to do it to ----

    def range(self):
        size = len(self.disk)
        grain = self.rng.choice((1, 1, 512, PAGE, 65536))
        start = self.rng.randrange(size) // grain * grain
        length = max(1, int(self.rng.expovariate(1 / 20000)) // grain) * grain
        return start, min(length, size - start, LONGEST)

    def expect(self, what, start, found):
        wanted = self.disk[start:start + len(found)]
        if found != wanted:
            first = next(i for i, (a, b) in enumerate(zip(found, wanted)) if a != b) \
                if len(found) == len(wanted) else len(wanted)
            raise Wrong(f"{what} {start}+{len(found)}: differs at {start + first}")

    # ---- operations ----

    def read(self):
        start, length = self.range()
        length += self.rng.choice((0, 0, 5000))  # beyond the end: there is less
        found = os.pread(self.fd, length, start)
        if len(found) != min(length, len(self.disk) - start):
            raise Wrong(f"read {start}+{length}: {len(found)} bytes")
        self.expect("read", start, found)

    def write(self):
        start, length = self.range()
        data = self.rng.randbytes(length)
        if os.pwrite(self.fd, data, start) != length:
            raise Wrong(f"write {start}+{length}: not all")
        self.disk[start:start + length] = data

    def mapped_read(self):
        start, length = self.range()
        if self.mapping:
            self.expect("mapped read", start, self.mapping[start:start + length])

    def mapped_write(self):
        if not self.mapping:
            return
        start, length = self.range()
        data = self.rng.randbytes(length)
        self.mapping[start:start + length] = data
        self.disk[start:start + length] = data

    def change_space(self, mode):
        start, length = self.range()
        exports.fallocate(self.fd, mode, start, length)
        self.disk[start:start + length] = bytes(length)

    def punch(self):
        self.change_space(exports.FALLOC_FL_PUNCH_HOLE)

    def zero(self):
        self.change_space(exports.FALLOC_FL_ZERO_RANGE)

    def truncate(self):
        if not self.resizable:
            return
        size = self.rng.randrange(SIZE // 2, MOST) // 512 * 512
        self.unmap()
        os.ftruncate(self.fd, size)
        self.disk = self.disk[:size] + bytes(max(0, size - len(self.disk)))
        self.map()

    def append(self):
        """--growable: a write that begins within the disk, or at its end, and goes on."""
        room = (MOST - len(self.disk)) // 512
        if not self.resizable or room < 1:
            return
        start = max(0, len(self.disk) - self.rng.choice((0, 512, 5120)))
        length = len(self.disk) - start + 512 * self.rng.randint(1, min(room, 40))
        data = self.rng.randbytes(length)
        self.unmap()
        if os.pwrite(self.fd, data, start) != length:
            raise Wrong(f"append {start}+{length}: not all")
        self.disk[start:] = data
        self.map()

    def sync(self):
        os.fsync(self.fd)

    def sync_map(self):
        if self.mapping:
            self.mapping.flush()

    def reopen(self):
        self.close()
        self.open()
        if os.fstat(self.fd).st_size != len(self.disk):
            raise Wrong(f"the size is {os.fstat(self.fd).st_size}, not {len(self.disk)}")

    def seek(self):
        """Where a hole is found there are zeroes. A reader is asked: for a writer all is data."""
        start = self.rng.randrange(len(self.disk))
        fd = os.open(self.mountpoint, os.O_RDONLY)
        try:
            data = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = len(self.disk)
        finally:
            os.close(fd)
        if any(self.disk[start:data]):
            raise Wrong(f"a hole from {start} to {data} has data")

    def refused(self):
        """What is refused changes nothing."""
        try:
            exports.fallocate(self.fd, 8, 0, PAGE)  # FALLOC_FL_COLLAPSE_RANGE
        except OSError:
            return
        raise Wrong("collapsing a range is not refused")

    def again(self):
        self.stop()
        self.start()
        self.expect("all of it", 0, os.pread(self.fd, len(self.disk), 0))

    def step(self):
        name = self.rng.choices(list(self.weights), list(self.weights.values()))[0]
        self.done.append(name)
        getattr(self, name)()


def exercise(arguments, directory, kind, cache, rng, count):
    exerciser = Exerciser(arguments.imgfuse, directory, kind, cache, rng,
                          WEIGHTS | {"again": arguments.again})
    try:
        with exports.hurry(exerciser.mountpoint, "the export"):
            for _ in range(count):
                exerciser.step()
            exerciser.stop()
    except (Wrong, OSError) as error:
        tail = " ".join(exerciser.done[-12:])
        said = exerciser.export.said() if not exerciser.export.log.closed else ""
        exerciser.unmap()
        raise Wrong(f"operation {len(exerciser.done)}: {error} (after {tail}) {said}") from error
    finally:
        if exerciser.export.process.poll() is None:
            exerciser.export.kill()
            exerciser.export.clear_away()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--imgfuse", required=True)
    parser.add_argument("--operations", type=int, default=6000, help="in all")
    parser.add_argument("--each", type=int, default=300, help="operations for each image")
    parser.add_argument("--again", type=float, default=WEIGHTS["again"],
                        help="how often the export is ended, against about 100 other operations")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--kind", choices=images.KINDS)
    parser.add_argument("--cache", choices=("writeback", "writethrough", "none"))
    arguments = parser.parse_args()
    exports.require("qemu-img")
    kinds = [arguments.kind] if arguments.kind else list(images.KINDS)
    caches = [arguments.cache] if arguments.cache else ["writeback", "writethrough", "none"]
    done = number = 0
    while done < arguments.operations:
        kind = kinds[(arguments.seed + number) % len(kinds)]
        cache = caches[(arguments.seed // 7 + number) % len(caches)]
        count = min(arguments.each, arguments.operations - done)
        with exports.scratch() as directory:
            try:
                exercise(arguments, directory, kind, cache,
                         random.Random(f"{arguments.seed}/{number}"), count)
            except Wrong as wrong:
                print(f"FOUND: seed {arguments.seed}, image {number}, {kind}, {cache}: {wrong}")
                print(f"again: --seed={arguments.seed} --each={arguments.each} "
                      f"--again={arguments.again} --operations={(number + 1) * arguments.each}")
                return 1
        done += count
        number += 1
    print(f"seed {arguments.seed}: {done} operations on {number} images; no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
