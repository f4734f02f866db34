# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the maker of the zoo and its keeper share: the manifest, and the hash of a disk.

MANIFEST has a line for each image, its fields separated by tabs:

    FILE  SIZE  SHA256  [UNREADABLE]    it opens; see hash_disk(); ranges are OFFSET+LENGTH
    FILE  refused  TEXT                 it is refused with exactly these words, behind its name
    FILE  -                             another image needs it; it is not opened by itself

FILE@NAME is the internal snapshot NAME of FILE. Images are kept compressed as FILE.xz. Those in
good/ each have one feature; those in bad/ one fault; those in refused/ are sound, and of a kind that
is not supported. Whatever is encrypted has the same passphrase.
"""

import hashlib
import lzma
import os

BLOCK = 4096
PASSPHRASE = "open sesame"


def hash_disk(path):
    """
    SHA-256 over the blocks of 4096 bytes that are not zero: offset (8 bytes, big-endian) and
    block, the last one padded with zeroes. So a sparse disk of many TiB has a hash too.
    """
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:  # ENXIO: only a hole is left
                break
            block = os.pread(fd, BLOCK, at)
            if any(block):
                digest.update(at.to_bytes(8, "big") + block.ljust(BLOCK, b"\0"))
            at += BLOCK
    finally:
        os.close(fd)
    return digest.hexdigest()


class Entry:
    """A line of the manifest."""

    def __init__(self, name, size=None, sha256=None, unreadable=(), refusal=None):
        self.name = name
        self.file, _, self.snapshot = name.partition("@")
        self.size = size
        self.sha256 = sha256
        self.unreadable = tuple(unreadable)  # "OFFSET+LENGTH"
        self.refusal = refusal

    def line(self):
        if self.refusal is not None:
            return f"{self.name}\trefused\t{self.refusal}\n"
        if self.size is None:
            return f"{self.name}\t-\n"
        fields = [self.name, str(self.size), self.sha256]
        if self.unreadable:
            fields.append(" ".join(self.unreadable))
        return "\t".join(fields) + "\n"


def parse_line(line):
    fields = line.rstrip("\n").split("\t")
    if fields[1] == "-":
        return Entry(fields[0])
    if fields[1] == "refused":
        return Entry(fields[0], refusal=fields[2])
    unreadable = fields[3].split(" ") if len(fields) > 3 else ()
    return Entry(fields[0], int(fields[1]), fields[2], unreadable)


def read_manifest(directory):
    with open(os.path.join(directory, "MANIFEST"), encoding="utf-8") as stream:
        return [parse_line(line) for line in stream if not line.startswith("#")]


def compress(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as stream:
        content = stream.read()
    with open(target, "wb") as stream:
        stream.write(lzma.compress(content, check=lzma.CHECK_CRC32, preset=9))


def extract(source, target):
    """Decompress an image; blocks of zeroes become holes."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with lzma.open(source) as stream, open(target, "wb") as output:
        while block := stream.read(BLOCK):
            if any(block):
                output.write(block)
            else:
                output.seek(len(block), os.SEEK_CUR)
        output.truncate()
