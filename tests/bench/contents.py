# SPDX-License-Identifier: LGPL-2.1-or-later
"""The images that are measured, each made when it is first needed."""

import os
import pathlib
import random
import shutil
import struct

from subjects import run

MIB = 1 << 20
CLUSTER = 64 << 10
COPIED = 1 << 63


def fill(path, size):
    """Content that compresses as disks do: the machine's own programs, one behind the other."""
    with open(path, "wb") as out:
        left = size
        while left > 0:
            before = left
            for name in sorted(pathlib.Path("/usr").rglob("*")):
                if left == 0:
                    break
                if name.is_symlink() or not name.is_file() or not os.access(name, os.R_OK):
                    continue
                with open(name, "rb") as source:
                    left -= out.write(source.read(min(left, 64 * MIB)))
            if left == before:
                raise SystemExit("bench: /usr has nothing to read")


def scattered(path, size, share):
    """
    A qcow2 image of which a share of the clusters is allocated, anywhere. They lie in holes of the
    file, as if written in random order, so that only the tables take space. Returns where.
    """
    clusters = size // CLUSTER
    count = max(1, int(clusters * share))
    chosen = sorted(random.Random(1).sample(range(clusters), count))
    per_table = CLUSTER // 8
    tables = sorted({cluster // per_table for cluster in chosen})
    l1_size = -(-clusters // per_table)
    l1_clusters = -(-l1_size * 8 // CLUSTER)
    blocks = 1
    while blocks * (CLUSTER // 2) < 2 + blocks + l1_clusters + len(tables) + count:
        blocks += 1
    first_l1 = 2 + blocks
    first_table = first_l1 + l1_clusters
    first_data = first_table + len(tables)
    used = first_data + count
    places = list(range(first_data, used))
    random.Random(2).shuffle(places)

    with open(path, "wb") as out:
        out.write(struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, size, 0, l1_size,
                              first_l1 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4, 104))
        out.seek(CLUSTER)
        out.write(struct.pack(f">{blocks}Q", *((2 + i) * CLUSTER for i in range(blocks))))
        out.seek(2 * CLUSTER)
        out.write(b"\0\1" * used)
        l1 = [0] * l1_size
        for i, table in enumerate(tables):
            l1[table] = (first_table + i) * CLUSTER | COPIED
        out.seek(first_l1 * CLUSTER)
        out.write(struct.pack(f">{l1_size}Q", *l1))
        table, entries = tables[0], [0] * per_table
        for cluster, place in zip(chosen, places):
            if cluster // per_table != table:
                out.seek((l1[table] & ~COPIED))
                out.write(struct.pack(f">{per_table}Q", *entries))
                table, entries = cluster // per_table, [0] * per_table
            entries[cluster % per_table] = place * CLUSTER | COPIED
        out.seek((l1[table] & ~COPIED))
        out.write(struct.pack(f">{per_table}Q", *entries))
        out.truncate(used * CLUSTER)
    return [cluster * CLUSTER for cluster in chosen]


class Contents:
    """Images by name, below a directory, all of one size."""

    def __init__(self, directory, size):
        self.directory = directory
        self.size = size
        self.scattered = {}  # name: the offsets that are allocated

    def _path(self, name):
        return self.directory / name

    def raw(self, name):
        """What an image holds, as a raw file; or None where nobody should wait for that."""
        if name == "empty":
            path = self._path("empty.raw")
            with open(path, "wb") as stream:
                stream.truncate(self.size)
            return path
        if name == "ext4":
            return self._ext4()
        if name in ("zlib", "zstd", "chain") or name.startswith("scattered"):
            return None
        path = self._path("full.raw")
        if not path.exists():
            fill(path, self.size)
        return path

    def _ext4(self):
        """A file system with the headers, documents and scripts of this machine."""
        path = self._path("ext4.raw")
        if path.exists():
            return path
        tree = self._path("tree")
        tree.mkdir()
        left = self.size // 2
        for name in sorted(pathlib.Path("/usr/share").rglob("*")):
            if name.is_symlink() or not name.is_file() or name.stat().st_size > left // 4:
                continue
            target = tree / str(name)[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)
            left -= max(4096, name.stat().st_size)
            if left < 4 * MIB:
                break
        with open(path, "wb") as stream:
            stream.truncate(self.size)
        run("mkfs.ext4", "-q", "-F", "-d", str(tree), str(path))
        shutil.rmtree(tree)
        return path

    def _make(self, name, path):
        if name.startswith("scattered-"):
            self.scattered[name] = scattered(path, int(name.split("-")[1]), 0.01)
        elif name == "empty":
            run("qemu-img", "create", "-q", "-f", "qcow2", str(path), str(self.size))
        elif name == "chain":
            self._make_chain(path)
        else:
            options = {"zlib": ["-c"], "zstd": ["-c", "-o", "compression_type=zstd"],
                       "extended": ["-o", "extended_l2=on,cluster_size=64k"],
                       "4k": ["-o", "cluster_size=4k"], "2m": ["-o", "cluster_size=2m"]}
            run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options.get(name, []),
                str(self.raw("ext4" if name == "ext4" else "full")), str(path))

    def _make_chain(self, path):
        """Three images, of which each stores a third of the disk's MiBs."""
        below = self.image("full")
        for layer in "middle", "top":
            overlay = path if layer == "top" else self._path("middle.qcow2")
            run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(below), "-F", "qcow2",
                str(overlay))
            first = 0 if layer == "top" else 1
            writes = "".join(f"write -q -P {first + 1} {at} {MIB}\n"
                             for at in range(first * MIB, self.size - MIB + 1, 3 * MIB))
            run("qemu-io", "-f", "qcow2", str(overlay), input=writes)
            below = overlay

    def image(self, name):
        path = self._path(f"{name}.qcow2")
        if not path.exists():
            self._make(name, path)
        return path

    def touch_memory(self):
        """
        Use as much memory as a measurement may need, and free it. On a virtual machine the host may
        have to find a page when it is first used, which is not what is measured.
        """
        path = self._path("touched")
        with open(path, "wb") as stream:
            for _ in range(3 * self.size // MIB):
                stream.write(bytes(MIB))
        path.unlink()

    def fresh(self, name):
        """A copy of an image that will be changed by its first use."""
        return run("cp", "--sparse=always", str(self.image(name)),
                   str(self._path("used.qcow2"))) or self._path("used.qcow2")
