# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A small maker of qcow2 images for what qemu-img does not make: it puts there what it is told, right
or wrong. The layout is always the same: header, refcount table, refcount block, L1 table, L2
table, a cluster each, and behind them data.
"""

import struct
import zlib

MAGIC = 0x514649FB
COPIED = 1 << 63
COMPRESSED = 1 << 62
ZERO = 1

EXT_END = 0
EXT_BACKING_FORMAT = 0xE2792ACA
EXT_FEATURE_NAMES = 0x6803F857
EXT_BITMAPS = 0x23852875
EXT_LUKS = 0x0537BE77
EXT_DATA_FILE = 0x44415441

# Names of header fields: offset and length in bytes.
FIELDS = {
    "magic": (0, 4), "version": (4, 4), "backing_offset": (8, 8), "backing_length": (16, 4),
    "cluster_bits": (20, 4), "size": (24, 8), "crypt_method": (32, 4), "l1_size": (36, 4),
    "l1_offset": (40, 8), "reftable_offset": (48, 8), "reftable_clusters": (56, 4),
    "snapshot_count": (60, 4), "snapshots_offset": (64, 8), "incompatible": (72, 8),
    "compatible": (80, 8), "autoclear": (88, 8), "refcount_order": (96, 4),
    "header_length": (100, 4), "compression_type": (104, 1),
}


def extension(kind, data):
    return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def feature_name(kind, bit, name):
    return bytes([kind, bit]) + name.encode("latin-1").ljust(46, b"\0")


def deflate(content):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    return compressor.compress(content) + compressor.flush()


class Image:
    """An image in memory. Whatever is set by hand stays as it is set."""

    def __init__(self, cluster_bits=12, version=3, clusters=8, refcount_order=4):
        self.cluster_bits = cluster_bits
        self.cluster = 1 << cluster_bits
        self.bytes = bytearray(5 * self.cluster)
        self.order = refcount_order
        self.references = {number: 1 for number in range(5)}
        self.compressed_end = 0
        self.fixed_refcounts = {}
        self.length = None
        self.set(magic=MAGIC, version=version, cluster_bits=cluster_bits,
                 size=clusters * self.cluster, l1_size=1, l1_offset=3 * self.cluster,
                 reftable_offset=self.cluster, reftable_clusters=1)
        if version == 3:
            self.set(refcount_order=refcount_order, header_length=112)
        self.put(self.cluster, 8, 2 * self.cluster)
        self.put(3 * self.cluster, 8, 4 * self.cluster | COPIED)

    def put(self, offset, length, value):
        if offset + length > len(self.bytes):
            self.bytes.extend(bytes(offset + length - len(self.bytes)))
        self.bytes[offset:offset + length] = value.to_bytes(length, "big")

    def put_bytes(self, offset, content):
        if offset + len(content) > len(self.bytes):
            self.bytes.extend(bytes(offset + len(content) - len(self.bytes)))
        self.bytes[offset:offset + len(content)] = content

    def set(self, **fields):
        for name, value in fields.items():
            self.put(*FIELDS[name], value)
        return self

    def extensions(self, *parts, at=112):
        self.put_bytes(at, b"".join(parts))
        return self

    def backing(self, name, image_format=None):
        if image_format:
            self.extensions(extension(EXT_BACKING_FORMAT, image_format.encode()),
                            extension(EXT_END, b""))
        self.put_bytes(512 - len(name) if self.cluster == 512 else 1024, name.encode())
        return self.set(backing_offset=512 - len(name) if self.cluster == 512 else 1024,
                        backing_length=len(name))

    def l1(self, index, value):
        self.put(3 * self.cluster + 8 * index, 8, value)
        return self

    def l2(self, index, value):
        self.put(4 * self.cluster + 8 * index, 8, value)
        return self

    def reftable(self, index, value):
        self.put(self.cluster + 8 * index, 8, value)
        return self

    def new_cluster(self):
        number = -(-len(self.bytes) // self.cluster)
        self.bytes.extend(bytes((number + 1) * self.cluster - len(self.bytes)))
        self.references[number] = 1
        return number * self.cluster

    def data(self, index, content=None, flags=COPIED):
        """Store a guest cluster. Returns where."""
        offset = self.new_cluster()
        self.put_bytes(offset, content or self.content(index))
        self.l2(index, offset | flags)
        return offset

    def content(self, index):
        """Something to fill a guest cluster with."""
        return (b"guest cluster %d; " % index * self.cluster)[:self.cluster]

    def compressed(self, index, stream, sectors=None, offset=None):
        """Store a compressed stream behind the last one. Returns where."""
        if offset is None:
            if self.compressed_end % self.cluster == 0:
                self.compressed_end = self.new_cluster()
            offset = self.compressed_end
            self.put_bytes(offset, stream)
            self.compressed_end = offset + len(stream)
        if sectors is None:
            sectors = (offset % 512 + len(stream) + 511) // 512 - 1
        for number in range(offset // self.cluster,
                            ((offset & ~511) + (sectors + 1) * 512 - 1) // self.cluster + 1):
            self.references[number] = self.references.get(number, 0) + 1
        if offset == self.compressed_end - len(stream):
            first = offset // self.cluster
            if offset % self.cluster == 0:
                self.references[first] = 1
        shift = 62 - (self.cluster_bits - 8)
        self.l2(index, COMPRESSED | sectors << shift | offset)
        return offset

    def refcount(self, number, value):
        """Let a refcount be wrong."""
        self.fixed_refcounts[number] = value
        return self

    def _put_refcount(self, number, value):
        bits = 1 << self.order
        start = 2 * self.cluster
        if bits >= 8:
            self.put(start + number * bits // 8, bits // 8, value)
        else:
            byte = start + number * bits // 8
            self.bytes[byte] |= value << number * bits % 8

    def build(self):
        for number, value in {**self.references, **self.fixed_refcounts}.items():
            if number < self.cluster * 8 >> self.order:  # what one block has room for
                self._put_refcount(number, value)
        return bytes(self.bytes if self.length is None else self.bytes[:self.length])
