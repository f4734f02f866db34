#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""many.py --imgfuse=PROGRAM: exports side by side, and one after the other; nothing stays behind.

While they serve, their descriptors and threads do not grow in number; afterwards there is no
process, mount, lock or file that was not there before.
"""

import argparse
import os
import random
import select
import subprocess
import sys
import threading

import exports
import images
from exports import Wrong

SIZE = 4 << 20


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def locks_on(paths):
    """How many locks there are on files."""
    inodes = {f"{os.stat(path).st_ino}" for path in paths}
    with open("/proc/locks", encoding="utf-8") as f:
        return sum(line.split()[5].rpartition(":")[2] in inodes for line in f
                   if line.split()[1] != "->")


def marked_processes(mark):
    """The processes with a variable in their environment, which their children have as well."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as f:
                    if mark.encode() in f.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                pass
    return found


def ends(pid):
    """Does a process end that should?"""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(fd):
        return bool(select.select([fd], [], [], exports.PATIENCE)[0])


def use(path, half, rng, rounds):
    """Write to one half of a disk, and read it again, with an open and a close for each round."""
    for _ in range(rounds):
        at = half * SIZE // 2 + rng.randrange(SIZE // 2 - 70000)
        data = rng.randbytes(rng.randrange(1, 70000))
        with open(path, "r+b", buffering=0) as f:
            f.seek(at)
            f.write(data)
            f.seek(at)
            if f.read(len(data)) != data:
                raise Wrong(f"{path}: what was written is not read")


def prepare(directory, count, rng):
    """Images in directories of their own, and a mount point for each."""
    made = []
    for i in range(count):
        below = os.path.join(directory, str(i))
        os.mkdir(below)
        kind = list(images.KINDS)[i % len(images.KINDS)]
        path, _ = images.make(below, kind, rng, SIZE)
        mountpoint = os.path.join(below, "mnt")
        with open(mountpoint, "w", encoding="utf-8"):
            pass
        with open(mountpoint + ".log", "w", encoding="utf-8"):
            pass
        made.append((below, kind, path, mountpoint))
    return made


def files_below(directory):
    return sorted(os.path.join(top, name) for top, _, names in os.walk(directory)
                  for name in names)


def expect_nothing_left(directory, made, before, mark):
    if exports.mounts_below(directory):
        raise Wrong(f"mounts are left: {exports.mounts_below(directory)}")
    for pid in marked_processes(mark):
        if not ends(pid):
            raise Wrong(f"process {pid} is left")
    if locks_on([path for _, _, path, _ in made]):
        raise Wrong("locks are left")
    if files_below(directory) != before[0]:
        raise Wrong(f"files: {set(files_below(directory)) ^ set(before[0])}")
    if descriptors(os.getpid()) != before[1]:
        raise Wrong("descriptors are left in the caller")
    for below, kind, _, _ in made:
        images.check(below, kind, False)


def side_by_side(imgfuse, made, rng):
    """All at once, all of them busy."""
    running = [exports.Export(imgfuse, path, mountpoint, images.arguments(kind))
               for _, kind, path, mountpoint in made]
    wrong = []

    def work(export, half, seed):
        try:
            use(export.mountpoint, half, random.Random(seed), 20)
        except (OSError, Wrong) as error:
            wrong.append(error)

    counts = []
    for _ in range(3):
        workers = [threading.Thread(target=work, args=(export, half, rng.random()))
                   for export in running for half in (0, 1)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        counts.append([(descriptors(pid), threads(pid))
                       for export in running for pid in export.processes()])
    for export in running:
        if export.end() != 0:
            wrong.append(export)
    if wrong:
        raise Wrong(f"{wrong[0]}")
    # A thread may have been started for the first load; not for each.
    for first, last in zip(counts[1], counts[2]):
        if last[0] > first[0] + 2 or last[1] > first[1] + 2:
            raise Wrong(f"descriptors and threads grow: {counts}")


def in_a_row(imgfuse, made, count, rng):
    """One after the other, every other one in the background."""
    for i in range(count):
        _, kind, path, mountpoint = made[i % len(made)]
        if i % 2 == 0:
            export = exports.Export(imgfuse, path, mountpoint, images.arguments(kind))
            use(mountpoint, 0, rng, 1)
            if export.end() != 0:
                raise Wrong("does not end well")
            continue
        for command in ([imgfuse, "-d", *images.arguments(kind), path, mountpoint], None,
                        [imgfuse, "-u", mountpoint]):
            if command is None:
                use(mountpoint, 0, rng, 1)
            elif subprocess.run(command, timeout=exports.PATIENCE, check=False).returncode != 0:
                raise Wrong(f"{' '.join(command)} fails")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--imgfuse", required=True)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--in-a-row", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    exports.require("qemu-img")
    rng = random.Random(arguments.seed)
    with exports.scratch() as directory:
        mark = f"IMGFUSE_TEST={directory}"
        os.environ["IMGFUSE_TEST"] = directory
        made = prepare(directory, arguments.at_once, rng)
        before = files_below(directory), descriptors(os.getpid())
        try:
            side_by_side(arguments.imgfuse, made, rng)
            expect_nothing_left(directory, made, before, mark)
            in_a_row(arguments.imgfuse, made, arguments.in_a_row, rng)
            expect_nothing_left(directory, made, before, mark)
        except Wrong as wrong:
            print(f"FOUND: seed {arguments.seed}: {wrong}")
            for pid in marked_processes(mark):
                os.kill(pid, 9)
            return 1
    print(f"seed {arguments.seed}: {arguments.at_once} exports at once and {arguments.in_a_row} "
          "in a row; nothing left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main())
