# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Which features an image has, found in its bytes, whatever it is called. Written from the
specification, and for sound images: it shares nothing with the code that it is there to judge.
"""

import os
import struct

QCOW_MAGIC = b"QFI\xfb"
FOREIGN = {b"KDMV": "VMDK", b"conectix": "VHD", b"vhdxfile": "VHDX", b"QED\0": "QED",
           b"WithoutFreeSpace": "Parallels", b"WithouFreSpacExt": "Parallels"}
VDI_SIGNATURE = b"\x7f\x10\xda\xbe"
ENCRYPTIONS = {1: "AES", 2: "LUKS"}
INCOMPATIBLE = {0: "dirty", 1: "corrupt", 2: "data file", 4: "extended L2"}
COMPRESSION = {0: "zlib", 1: "zstd"}
L1_OFFSET = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
EXTENDED_L2 = 1 << 4


def numbers(fd, layout, offset):
    return struct.unpack(">" + layout, os.pread(fd, struct.calcsize(">" + layout), offset))


def table(fd, offset, count):
    content = os.pread(fd, count * 8, offset)
    return [entry for (entry,) in struct.iter_unpack(">Q", content[:len(content) // 8 * 8])]


def has_compressed(fd, cluster_bits, incompatible):
    """Does any cluster of the active disk lie compressed?"""
    l1_size, l1_offset = numbers(fd, "IQ", 36)
    step = 2 if incompatible & EXTENDED_L2 else 1
    return any(descriptor & COMPRESSED
               for l1_entry in table(fd, l1_offset, l1_size) if l1_entry & L1_OFFSET
               for descriptor in table(fd, l1_entry & L1_OFFSET, (1 << cluster_bits) // 8)[::step])


def qcow2(fd):
    version, backing_offset, cluster_bits, crypt = numbers(fd, "IQxxxxI8xI", 4)
    incompatible = autoclear = compression = 0
    refcount_order = 4
    if version == 3:
        incompatible, autoclear, refcount_order, length = numbers(fd, "Q8xQII", 72)
        compression = numbers(fd, "B", 104)[0] if length > 104 else 0
    found = {f"version {version}", f"cluster size {1 << cluster_bits}",
             f"refcount bits {1 << refcount_order}"}
    found.update(name for bit, name in INCOMPATIBLE.items() if incompatible >> bit & 1)
    if autoclear & 1:
        found.add("bitmaps")
    if autoclear & 2:
        found.add("raw data file")
    if backing_offset:
        found.add("backing file")
    if crypt:
        found.add(ENCRYPTIONS[crypt])
    if has_compressed(fd, cluster_bits, incompatible):
        found.add(COMPRESSION[compression])
    return found


def qcow1(fd):
    backing_offset, crypt = numbers(fd, "Q20xI", 8)
    found = {"QCOW1"}
    if backing_offset:
        found.add("QCOW1 backing file")
    if crypt:
        found.add("QCOW1 " + ENCRYPTIONS[crypt])
    if qcow1_has_compressed(fd):
        found.add("QCOW1 compressed")
    return found


def qcow1_has_compressed(fd):
    size, cluster_bits, l2_bits, l1_offset = numbers(fd, "QBB6xQ", 24)
    count = -(-size >> cluster_bits + l2_bits) if size else 0
    return any(entry >> 63
               for l2_offset in table(fd, l1_offset, count) if l2_offset
               for entry in table(fd, l2_offset, 1 << l2_bits))


def features(path):
    """What the table of README.md must have something to say about."""
    with open(path, "rb") as stream:
        fd = stream.fileno()
        head = os.pread(fd, 128, 0)
        if head.startswith(QCOW_MAGIC):
            return qcow1(fd) if head[7] == 1 else qcow2(fd)
        for magic, name in FOREIGN.items():
            if head.startswith(magic):
                return {name}
        return {"VDI"} if head[64:68] == VDI_SIGNATURE else {"raw"}
