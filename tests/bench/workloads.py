# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured: each workload has a name, an image, a unit, and a function that measures."""

import json
import mmap
import os
import random
import subprocess
import tempfile
import time

from subjects import run

MIB = 1 << 20


class Workload:
    """
    measure(bench, export) returns a number in @unit. More is better, unless that is a time or a
    size. @changes: the image is not the same afterwards. @servers: there is nothing to measure
    without a server.
    """

    def __init__(self, name, words, image, unit, measure, changes=False, servers=False):
        self.name, self.words, self.image, self.unit = name, words, image, unit
        self.measure, self.changes, self.servers = measure, changes, servers
        self.less_is_better = unit in ("ms", "s", "us", "MiB")


def read_all(path):
    """MiB/s of one reader from the beginning to the end."""
    begin = time.monotonic()
    with open(path, "rb", buffering=0) as stream:
        buffer, done = bytearray(MIB), 0
        while (count := stream.readinto(buffer)) > 0:
            done += count
    return done / MIB / (time.monotonic() - begin)


def seqread(bench, export):
    return read_all(export.path)


def reread(bench, export):
    read_all(export.path)
    return read_all(export.path)


def ready(bench, export):
    return export.ready


def memory(bench, export):
    read_all(export.path)
    return export.memory()


def fio(kind, field, *options):
    """Measures with fio, which knows the size as SIZE and how long to run as SECONDS."""
    def measure(bench, export):
        words = [word.format(SIZE=bench.size, SECONDS=bench.seconds,
                             PART=bench.size // 16, SOME=bench.size // 4,
                             FEW=bench.size // 64)
                 for word in options]
        out = run("fio", "--name=bench", f"--filename={export.path}", "--output-format=json",
                  "--allow_file_create=0", "--group_reporting", "--thread", "--ioengine=psync",
                  *words)
        figure = json.loads(out)["jobs"][0][kind][field]
        return figure / MIB if field == "bw_bytes" else figure
    return measure


def tar(bench, export):
    """Seconds to read a mounted file system, file by file."""
    loop = run("losetup", "--find", "--show", "--read-only", export.path).strip()
    try:
        with tempfile.TemporaryDirectory(dir=bench.directory) as target:
            run("mount", "-o", "ro,noload", loop, target)
            try:
                begin = time.monotonic()
                # tar does not read the files when it sees that it writes to /dev/null
                archive = subprocess.Popen(["tar", "-C", target, "-cf", "-", "."],
                                           stdout=subprocess.PIPE)
                run("wc", "-c", stdin=archive.stdout)
                archive.stdout.close()
                if archive.wait() != 0:
                    raise RuntimeError("tar failed")
                return time.monotonic() - begin
            finally:
                run("umount", target)
    finally:
        run("losetup", "--detach", loop)


def scattered(writes):
    """Microseconds for each of many operations of 4 KiB, each in another allocated cluster."""
    def measure(bench, export):
        offsets = bench.contents.scattered[bench.image]
        chosen = random.Random(3).sample(offsets, min(len(offsets), 4000))
        # page-aligned, as O_DIRECT wants it: nothing of it is to come from the kernel's cache
        buffer = mmap.mmap(-1, 4096)
        fd = os.open(export.path, os.O_RDWR | os.O_DIRECT)
        begin = time.monotonic()
        for offset in chosen:
            if writes:
                os.pwritev(fd, [buffer], offset)
            else:
                os.preadv(fd, [buffer], offset)
        spent = time.monotonic() - begin
        os.close(fd)
        return spent / len(chosen) * 1e6
    return measure


def human(size):
    return f"{size >> 30} GiB" if size < 1 << 40 else f"{size >> 40} TiB"


WHOLE = "--size={SIZE}"
READ_4K = ("--rw=randread", "--bs=4k")
# for a while, wherever it comes to: what was read before comes from the cache
REPEATED = (WHOLE, "--norandommap", "--time_based", "--runtime={SECONDS}")
SIXTEEN = "--numjobs=16"
# each job in a part of its own, and no block twice
PARTED = (SIXTEEN, "--size={PART}", "--offset_increment={PART}")
WRITE_4K = ("--rw=randwrite", "--bs=4k", "--end_fsync=1", WHOLE, "--norandommap")

cold = fio("read", "iops", *READ_4K, WHOLE, "--io_size={SOME}")
overwrite = fio("write", "iops", *WRITE_4K, "--io_size={SOME}")

WORKLOADS = [
    Workload("seqread", "first read, 1 MiB at a time", "full", "MiB/s", seqread),
    Workload("reread", "second read", "full", "MiB/s", reread),
    Workload("randread1", "4 KiB random reads", "full", "IOPS",
             fio("read", "iops", *READ_4K, *REPEATED)),
    Workload("randread16", "the same, 16 at once", "full", "IOPS",
             fio("read", "iops", *READ_4K, *REPEATED, SIXTEEN)),
    Workload("cold1", "4 KiB random reads, none twice", "full", "IOPS", cold),
    Workload("cold16", "the same, 16 at once", "full", "IOPS",
             fio("read", "iops", *READ_4K, *PARTED)),
    Workload("dread16", "4 KiB random reads past the cache (O_DIRECT), 16 at once", "full", "IOPS",
             fio("read", "iops", *READ_4K, *REPEATED, SIXTEEN, "--direct=1")),
    Workload("randwrite1", "4 KiB random writes over data, fsync", "full", "IOPS", overwrite),
    Workload("randwrite16", "the same, 16 at once", "full", "IOPS",
             fio("write", "iops", *WRITE_4K, SIXTEEN, "--io_size={FEW}")),
    Workload("allocseq", "1 MiB writes into an empty image, fsync", "empty", "MiB/s",
             fio("write", "bw_bytes", "--rw=write", "--bs=1m", "--end_fsync=1", WHOLE), True),
    Workload("allocseq4k", "the same, 4 KiB at a time", "empty", "MiB/s",
             fio("write", "bw_bytes", "--rw=write", "--bs=4k", "--end_fsync=1", "--size={SOME}"), True),
    Workload("allocrand", "4 KiB random writes into an empty image, fsync", "empty", "IOPS",
             fio("write", "iops", *WRITE_4K, "--io_size={SOME}"), True),
    Workload("zlib", "first read of a compressed image", "zlib", "MiB/s", seqread),
    Workload("zstd", "the same, zstd", "zstd", "MiB/s", seqread),
    Workload("ready", "start to usable mount", "full", "ms", ready, servers=True),
    Workload("memory", "of all its processes, after reading it all", "full", "MiB", memory,
             servers=True),
    Workload("tar", "tar of an ext4 file system on a loop device", "ext4", "s", tar),
]

for image, words in (("extended", "extended L2 entries"), ("chain", "a chain of three images"),
                     ("4k", "clusters of 4 KiB"), ("2m", "clusters of 2 MiB")):
    WORKLOADS += [
        Workload(f"{image}-seqread", f"{words}: first read", image, "MiB/s", seqread),
        Workload(f"{image}-cold1", f"{words}: 4 KiB random reads, none twice", image, "IOPS", cold),
        Workload(f"{image}-randwrite1", f"{words}: 4 KiB random writes, fsync", image, "IOPS",
                 overwrite, image == "chain"),
    ]

for power in 30, 35, 40, 44:
    image = f"scattered-{1 << power}"
    for verb, writes in ("read", False), ("write", True):
        WORKLOADS.append(Workload(
            f"{verb}-{human(1 << power).replace(' ', '')}",
            f"4 KiB {verb}s, O_DIRECT, {human(1 << power)} of which 1 % is allocated, anywhere",
            image, "us", scattered(writes)))

WORKLOADS.append(Workload("ready-16TiB", "start to usable mount of the same disk", image, "ms", ready,
                          servers=True))
