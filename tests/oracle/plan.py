# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What one run does: an image's properties and a list of operations, all from one seed.

Operations are lists of a name and numbers. Whoever executes them clips what lies beyond the
disk, so that any part of a list is a list, and a failing one can be made shorter.
"""

import random

SECTOR = 512

# How often an operation occurs while an image is exported, or between exports.
INSIDE = {"write": 44, "zero": 9, "discard": 12, "read": 14, "flush": 4, "writeback": 3,
          "truncate": 3, "reopen": 3, "map": 2, "parallel": 4, "die": 1}
OUTSIDE = {"snapshot": 5, "snapshot-delete": 2, "snapshot-apply": 2, "compressed": 6,
           "qemu-write": 2, "qemu-zero": 2, "qemu-discard": 1, "qemu-truncate": 1}


def pick(rng, weights):
    return rng.choices(list(weights), list(weights.values()))[0]


class Plan:
    """Everything that decides a run; as a dictionary, for keeping it in a file."""

    def __init__(self, fields):
        self.__dict__.update(fields)

    def fields(self):
        return dict(self.__dict__)

    def describe(self):
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        backing = f" over {self.backing} of {self.backing_size}" if self.backing else ""
        data = f" with a data file ({self.data_file})" if self.data_file else ""
        return f"{self.size} bytes, {options}{backing}{data}, {len(self.operations)} operations"


def choose_options(rng):
    cluster_bits = pick(rng, {9: 10, 10: 3, 11: 1, 12: 8, 13: 2, 14: 3, 15: 1, 16: 10, 17: 1, 18: 1,
                              19: 1, 20: 1, 21: 3})
    options = {"cluster_size": 1 << cluster_bits,
               "compat": pick(rng, {"0.10": 1, "1.1": 4})}
    if options["compat"] == "1.1":
        options["refcount_bits"] = pick(rng, {1: 2, 2: 2, 4: 2, 8: 1, 16: 4, 32: 1, 64: 2})
        if rng.random() < 0.1:
            options["lazy_refcounts"] = "on"
        if options["cluster_size"] >= 16384 and rng.random() < 0.4:
            options["extended_l2"] = "on"
        if rng.random() < 0.15:
            options["compression_type"] = "zstd"
    return options


def choose_preallocation(rng, options, backing):
    """Over a backing file QEMU wants subclusters for that."""
    if backing and "extended_l2" not in options:
        return
    if rng.random() < 0.3:
        options["preallocation"] = rng.choice(["off", "metadata", "falloc", "full"])


def choose_size(rng, cluster_size):
    """Up to a few MiB; often not a multiple of the cluster size."""
    largest = max(8 << 20, 4 * cluster_size) if cluster_size >= 65536 else 6 << 20
    kind = rng.random()
    if kind < 0.1:
        size = rng.randrange(1, 20) * SECTOR
    elif kind < 0.4:
        size = rng.randrange(1, 40) * cluster_size
    else:
        size = rng.randrange(SECTOR, largest)
    size = min(size, largest)
    if rng.random() < 0.4:
        size += rng.randrange(cluster_size // SECTOR) * SECTOR
    return max(size // SECTOR * SECTOR, SECTOR)


class Maker:
    """Operations for one image."""

    def __init__(self, rng, cluster_size, size):
        self.rng = rng
        self.cluster_size = cluster_size
        self.size = size
        self.hot = [rng.randrange(size) for _ in range(3)]
        self.snapshots = 0

    def seed(self):
        return pick(self.rng, {self.rng.randrange(64): 8, self.rng.randrange(64, 128): 4, 128: 1})

    def range(self):
        """A range that likes to meet other ones, and the edges of clusters."""
        rng = self.rng
        cluster = self.cluster_size
        if rng.random() < 0.6:
            offset = rng.choice(self.hot) + rng.randrange(-4 * cluster, 4 * cluster)
        else:
            offset = rng.randrange(self.size)
        length = self.length()
        edge = rng.random()
        if edge < 0.35:
            offset = offset // cluster * cluster
        elif edge < 0.45:
            offset = offset // SECTOR * SECTOR
        elif edge < 0.55:
            offset = offset // cluster * cluster + rng.randrange(-3, 4)
        offset = min(max(offset, 0), self.size - 1)
        if rng.random() < 0.3:
            length = max((offset + length) // cluster * cluster - offset, 1)
        return offset, length

    def length(self):
        rng = self.rng
        cluster = self.cluster_size
        kind = rng.random()
        if kind < 0.35:
            return rng.randrange(1, 1500)
        if kind < 0.6:
            return rng.randrange(1, 2 * cluster)
        if kind < 0.8:
            return rng.randrange(1, 6) * cluster
        if kind < 0.95:
            return rng.randrange(1, min(20 * cluster, 1 << 20))
        return rng.randrange(1, self.size + 1)

    def disjoint(self):
        """Ranges that share clusters but no byte."""
        rng = self.rng
        cluster = self.cluster_size
        count = rng.randrange(4, 24)
        span = min(rng.randrange(1, 6) * cluster, 4 << 20)
        begin = max(rng.choice(self.hot) // cluster * cluster - rng.randrange(0, 2) * cluster, 0)
        cuts = sorted({0, span, *(rng.randrange(span) for _ in range(count))})
        ranges = [(begin + a, b - a) for a, b in zip(cuts, cuts[1:])]
        rng.shuffle(ranges)
        return ranges

    def parallel(self):
        operations = []
        for offset, length in self.disjoint():
            name = pick(self.rng, {"write": 8, "zero": 1, "discard": 2, "read": 2})
            operations.append([name, offset, length] + ([self.seed()] if name == "write" else []))
            if self.rng.random() < 0.1:
                operations.append(["flush"])
        return ["parallel", self.rng.randrange(2, 6), operations]

    def resize(self, name):
        largest = self.size * 2
        size = self.rng.choice([self.size, self.range()[0], self.rng.randrange(largest),
                                self.size + self.rng.randrange(4 * self.cluster_size)])
        if name == "qemu-truncate":
            size = size // SECTOR * SECTOR
        return [name, max(size, SECTOR) if self.rng.random() < 0.95 else 0]

    def inside(self):
        name = pick(self.rng, INSIDE)
        if name == "parallel":
            return self.parallel()
        if name == "truncate":
            return self.resize(name)
        if name in ("write",):
            return [name, *self.range(), self.seed()]
        if name in ("zero", "discard", "read"):
            return [name, *self.range()]
        if name == "die":
            return [name, self.rng.random() < 0.5]
        return [name]

    def outside(self):
        name = pick(self.rng, OUTSIDE)
        if name == "snapshot":
            self.snapshots += 1
            return [name, f"s{self.snapshots}"]
        if name in ("snapshot-delete", "snapshot-apply"):
            return [name, f"s{self.rng.randrange(1, self.snapshots + 2)}"]
        if name == "qemu-truncate":
            return self.resize(name)
        if name in ("compressed", "qemu-write"):
            return [name, *self.range(), self.seed()]
        return [name, *self.range()]


def make_backing(rng, size, cluster_size):
    """Returns the kind, the size, and what to write into it."""
    kind = pick(rng, {"": 12, "raw": 4, "qcow2": 4, "compressed": 2, "qcow": 1, "chain": 2})
    if not kind:
        return "", 0, []
    relation = rng.random()
    if relation < 0.3:
        length = size
    elif relation < 0.65:
        length = rng.randrange(SECTOR, size + 1)
    else:
        length = size + rng.randrange(1, 1 << 20)
    length = max(length // SECTOR * SECTOR, SECTOR)
    maker = Maker(rng, cluster_size, length)
    writes = [[*maker.range(), maker.seed()] for _ in range(rng.randrange(1, 12))]
    return kind, length, writes


def make_plan(seed, count=None):
    """The plan of a seed. count: how many operations; else so many as the seed says."""
    rng = random.Random(f"imgfuse {seed}")
    # The cluster size decides the size, and that the backing file.
    options = choose_options(rng)
    size = choose_size(rng, options["cluster_size"])
    backing, backing_size, backing_writes = make_backing(rng, size, options["cluster_size"])
    data_file = ""
    if options["compat"] == "1.1" and rng.random() < 0.15:
        data_file = "mapped" if backing else rng.choice(["mapped", "raw"])
    choose_preallocation(rng, options, backing)
    maker = Maker(rng, options["cluster_size"], size)
    operations = []
    for _ in range(count or rng.choice([5, 10, 15, 20, 30, 40, 40, 60, 80, 150])):
        operations.append(maker.outside() if rng.random() < 0.07 else maker.inside())
    return Plan({"seed": seed, "options": options, "size": size, "backing": backing,
                 "backing_size": backing_size, "backing_writes": backing_writes,
                 "data_file": data_file,
                 "keep_space": rng.random() < 0.2,
                 "cache": pick(rng, {0: 3, 1: 3, 65536: 2}),
                 "operations": operations})
