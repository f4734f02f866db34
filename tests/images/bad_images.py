# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The sick part of the zoo: an image for each fault. Either it is refused, with the words given here;
or it opens, and what can be read of it is what QEMU reads: sector by sector, as QEMU gives an image
up at the first error.
"""

import struct

import craft
from craft import COPIED, COMPRESSED, ZERO, Image, deflate, extension
from good_images import with_data

LARGEST = (1 << 63) - 4096
NOT_A_MULTIPLE = "is not a multiple of the cluster size"

# Name, fields of the header, the words that refuse it.
HEADER_FAULTS = [
    ("version-0", {"version": 0}, "qcow2 version 0 is not supported"),
    ("version-4", {"version": 4}, "qcow2 version 4 is not supported"),
    ("cluster-bits-8", {"cluster_bits": 8},
     "cluster size of 2^8 bytes is not between 2^9 and 2^21"),
    ("cluster-bits-22", {"cluster_bits": 22},
     "cluster size of 2^22 bytes is not between 2^9 and 2^21"),
    ("header-length-96", {"header_length": 96}, "header length 96 is less than 104"),
    ("header-length-109", {"header_length": 109}, "header length 109 is not a multiple of 8"),
    ("header-length-large", {"header_length": 4104},
     "header length 4104 is larger than the cluster size of 4096"),
    ("backing-name-outside", {"backing_offset": 4097, "backing_length": 1},
     "backing file name offset 0x1001 lies outside the first cluster"),
    ("backing-name-long", {"backing_offset": 512, "backing_length": 1024},
     "backing file name of 1024 bytes is longer than 1023"),
    ("backing-name-over-end", {"backing_offset": 4090, "backing_length": 7},
     "backing file name of 7 bytes at offset 0xffa exceeds the first cluster"),
    ("crypt-method-3", {"crypt_method": 3}, "encryption method 3 is not supported"),
    ("luks-without-header", {"crypt_method": 2},
     "encryption method 2 without the LUKS header extension"),
    ("refcount-order-7", {"refcount_order": 7}, "refcount order 7 is larger than 6"),
    ("refcount-order-max", {"refcount_order": 0xFFFFFFFF},
     "refcount order 4294967295 is larger than 6"),
    ("l1-offset-unaligned", {"l1_offset": 0x3001}, f"L1 table offset 0x3001 {NOT_A_MULTIPLE}"),
    ("l1-offset-large", {"l1_offset": LARGEST, "l1_size": 513},
     "L1 table offset 0x7ffffffffffff000 plus its size of 4104 bytes is no file offset"),
    ("l1-too-large", {"l1_size": 4194305}, "L1 table of 4194305 entries is larger than 4194304"),
    ("l1-too-small", {"size": (2 << 20) + 1},
     "L1 table of 1 entries is too small: a disk of 2097153 bytes needs 2"),
    ("l1-none", {"l1_size": 0},
     "L1 table of 0 entries is too small: a disk of 32768 bytes needs 1"),
    ("size-max", {"size": (1 << 64) - 1},
     "L1 table of 1 entries is too small: a disk of 18446744073709551615 bytes needs "
     "8796093022208"),
    ("refcount-table-unaligned", {"reftable_offset": 0x1008},
     f"refcount table offset 0x1008 {NOT_A_MULTIPLE}"),
    ("refcount-table-none", {"reftable_clusters": 0}, "refcount table of 0 clusters"),
    ("refcount-table-too-large", {"reftable_clusters": 2049},
     "refcount table of 2049 clusters is larger than 2048"),
    ("refcount-table-offset-large", {"reftable_offset": 1 << 63},
     "refcount table offset 0x8000000000000000 plus its size of 4096 bytes is no file offset"),
    ("snapshots-too-many", {"snapshot_count": 65537, "snapshots_offset": 0x5000},
     "snapshot table of 65537 entries is larger than 65536"),
    ("snapshots-unaligned", {"snapshot_count": 1, "snapshots_offset": 0x5008},
     f"snapshot table offset 0x5008 {NOT_A_MULTIPLE}"),
    ("snapshots-offset-large", {"snapshot_count": 1, "snapshots_offset": 1 << 63},
     "snapshot table offset 0x8000000000000000 plus its size of 40 bytes is no file offset"),
    ("feature-bits-unknown", {"incompatible": 1 << 63 | 1 << 5},
     "qcow2 feature not supported: bit 5, bit 63"),
    ("compression-type-without-bit", {"compression_type": 1},
     "compression type 1 without the compression type feature bit"),
    ("compression-bit-without-type", {"incompatible": 8},
     "compression type feature bit with compression type 0"),
    ("compression-type-2", {"incompatible": 8, "compression_type": 2},
     "compression type 2 is not supported"),
    ("extended-l2-small-clusters", {"incompatible": 16},
     "cluster size of 4096 bytes is less than the 16384 that extended L2 entries need"),
    ("data-raw-without-data-file", {"autoclear": 2},
     "raw external data feature bit without an external data file"),
    ("bitmaps-bit-without-extension", {"autoclear": 1},
     "bitmaps feature bit without the bitmaps extension"),
]


def bitmaps(count=1, reserved=0, size=64, offset=0x5000):
    return extension(craft.EXT_BITMAPS, struct.pack(">IIQQ", count, reserved, size, offset))


# Name, fields of the header, extensions, the words that refuse it.
EXTENSION_FAULTS = [
    ("extension-over-end", {}, [struct.pack(">II", 0x1234, 4000)],
     "header extension 0x00001234 at offset 112 of 4000 bytes exceeds its area, which ends at "
     "offset 4096"),
    ("extension-length-max", {}, [struct.pack(">II", 0x1234, 0xFFFFFFFF)],
     "header extension 0x00001234 at offset 112 of 4294967295 bytes exceeds its area, which ends "
     "at offset 4096"),
    ("extension-over-name", {"backing_offset": 128, "backing_length": 1},
     [extension(0x1234, b"x" * 16)],
     "header extension 0x00001234 at offset 112 of 16 bytes exceeds its area, which ends at "
     "offset 128"),
    ("extension-cut-off", {"backing_offset": 116, "backing_length": 1}, [b""],
     "header extension at offset 112 exceeds its area, which ends at offset 116"),
    ("extension-end-with-length", {}, [struct.pack(">II", 0, 4096)],
     "header extension 0x00000000 at offset 112 of 4096 bytes exceeds its area, which ends at "
     "offset 4096"),
    ("extension-twice", {}, [extension(craft.EXT_BACKING_FORMAT, b"raw")] * 2,
     "second backing file format extension at offset 128"),
    ("backing-format-long", {}, [extension(craft.EXT_BACKING_FORMAT, b"f" * 16)],
     "backing file format of 16 bytes is longer than 15"),
    ("feature-bits-named", {"incompatible": 1 << 40 | 1 << 41},
     [extension(craft.EXT_FEATURE_NAMES, craft.feature_name(0, 41, "time travel")
                + craft.feature_name(1, 40, "not this") + craft.feature_name(0, 40, "\x1b[5mink"))],
     "qcow2 feature not supported: ?[5mink, time travel"),
    ("feature-bits-extensions-broken", {"incompatible": 1 << 41},
     [struct.pack(">II", 0x1234, 0xFFFFFFFF)], "qcow2 feature not supported: bit 41"),
    ("bitmaps-none", {"autoclear": 1}, [bitmaps(count=0)], "bitmaps extension with 0 bitmaps"),
    ("bitmaps-many", {"autoclear": 1}, [bitmaps(count=65536)], "65536 bitmaps are more than 65535"),
    ("bitmaps-reserved", {"autoclear": 1}, [bitmaps(reserved=7)],
     "reserved field of the bitmaps extension is 0x7, not 0"),
    ("bitmaps-directory-empty", {"autoclear": 1}, [bitmaps(size=0)],
     "bitmap directory of 0 bytes"),
    ("bitmaps-directory-large", {"autoclear": 1}, [bitmaps(size=67107841)],
     "bitmap directory of 67107841 bytes is larger than 67107840"),
    ("bitmaps-directory-unaligned", {"autoclear": 1}, [bitmaps(offset=0x5001)],
     f"bitmap directory offset 0x5001 {NOT_A_MULTIPLE}"),
    ("bitmaps-short", {"autoclear": 1}, [extension(craft.EXT_BITMAPS, b"\0" * 16)],
     "bitmaps extension is 16 bytes long, not 24"),
    ("luks-extension-without-luks", {}, [extension(craft.EXT_LUKS, b"\0" * 16)],
     "LUKS header extension with encryption method 0"),
    ("luks-short", {"crypt_method": 2}, [extension(craft.EXT_LUKS, b"\0" * 8)],
     "LUKS header extension is 8 bytes long, not 16"),
    ("luks-unaligned", {"crypt_method": 2},
     [extension(craft.EXT_LUKS, struct.pack(">QQ", 0x5001, 592))],
     f"LUKS header offset 0x5001 {NOT_A_MULTIPLE}"),
]


class Sick:
    """Adds images to a place, and remembers the words that refuse them."""

    def __init__(self, place):
        self.place = place
        self.refusals = {}

    def add(self, name, image, words=None):
        name = f"bad/{name}.qcow2"
        self.place.image(name, image)
        if words is not None:
            self.refusals[name] = words

    def l2(self, name, index_2, **kinds):
        """An image whose third cluster has a certain L2 entry."""
        self.add(name, with_data(Image(**kinds)).l2(2, index_2))

    def stream(self, name, stream, **how):
        image = with_data(Image())
        image.compressed(3, stream, **how)
        self.add(name, image)


def headers(sick):
    for name, fields, words in HEADER_FAULTS:
        sick.add(name, with_data(Image()).set(**fields), words)
    for name, fields, parts, words in EXTENSION_FAULTS:
        sick.add(name, with_data(Image()).set(**fields).extensions(*parts), words)


def tables(sick):
    sick.add("l1-entry-unaligned", with_data(Image()).l1(0, 4 * 4096 + 512 | COPIED))
    sick.add("l1-entry-behind-end", with_data(Image()).l1(0, 4096 << 20 | COPIED))
    sick.add("l1-entry-reserved-bits",
             with_data(Image()).l1(0, 4 * 4096 | COPIED | 0x7F00000000000001))
    sick.add("l1-behind-end", with_data(Image()).set(l1_offset=4096 << 20))
    sick.add("l1-is-header", with_data(Image()).set(l1_offset=0))
    sick.add("l2-is-l1", with_data(Image()).l1(0, 3 * 4096 | COPIED))
    sick.l2("l2-entry-unaligned", 5 * 4096 + 512 | COPIED)
    sick.l2("l2-entry-reserved-bits", 5 * 4096 | COPIED | 0x3F000000000001FE)
    sick.l2("l2-entry-behind-end", 4096 << 20 | COPIED)
    sick.l2("l2-entry-largest", 0x00FFFFFFFFFFF000 | COPIED)
    sick.l2("l2-entry-copied-without-offset", COPIED)
    sick.l2("l2-entry-on-refcount-table", 4096 | COPIED)
    sick.l2("l2-entry-on-refcount-block", 2 * 4096 | COPIED)
    sick.l2("l2-entry-on-l2-table", 4 * 4096 | COPIED)
    sick.l2("l2-entry-twice", 5 * 4096 | COPIED)
    sick.l2("l2-zero-flag-unaligned", 5 * 4096 + 512 | COPIED | ZERO)
    sick.l2("l2-zero-flag-in-version-2", ZERO, version=2)
    sick.l2("l2-zero-flag-with-offset-in-version-2", 5 * 4096 | COPIED | ZERO, version=2)
    image = Image()
    image.length = 112
    sick.add("only-a-header", image)


def refcounts(sick):
    sick.add("refcount-zero", with_data(Image()).refcount(5, 0))
    sick.add("refcount-zero-of-shared",
             with_data(Image()).l2(0, 5 * 4096).refcount(5, 0))
    image = with_data(Image())
    offset = image.compressed(1, deflate(image.content(1)))
    sick.add("refcount-zero-of-compressed", image.refcount(offset // 4096, 0))
    image, stream = with_data(Image()), deflate(Image().content(1))
    first = image.new_cluster() // 4096
    image.put_bytes(first * 4096 + 4080, stream)
    image.compressed(1, stream, offset=first * 4096 + 4080)
    sick.add("refcount-zero-of-compressed-end", image.refcount(first, 1).refcount(first + 1, 0))
    sick.add("refcount-two-of-copied", with_data(Image()).refcount(5, 2))
    sick.add("refcounts-all-zero", with_data(Image(refcount_order=0)).reftable(0, 0))
    sick.add("refcount-block-unaligned", with_data(Image()).reftable(0, 2 * 4096 + 512))
    sick.add("refcount-block-behind-end", with_data(Image()).reftable(0, 4096 << 20))
    image = with_data(Image())
    image.length = image.new_cluster()
    sick.add("refcount-block-cut-off", image.reftable(0, image.length))
    sick.add("refcount-block-largest", with_data(Image()).reftable(0, 0xFFFFFFFFFFFFF000))
    sick.add("refcount-block-on-header", with_data(Image()).reftable(0, 1 << 63))
    sick.add("refcount-block-on-l2-table", with_data(Image()).reftable(0, 4 * 4096))
    sick.add("refcount-table-on-header", with_data(Image()).set(reftable_offset=0))
    sick.add("refcount-table-on-l1", with_data(Image()).set(reftable_offset=3 * 4096))
    sick.add("refcount-table-behind-end", with_data(Image()).set(reftable_offset=4096 << 20))


def blocks_of_nothing(length):
    """
    A deflate stream, up to its last bits, of the shortest blocks that have tables of their own,
    to build which takes longest: each says that it is at its end.
    """
    bits = "0" "01"                     # not the last; with tables
    bits += "00000" "00000" "0111"      # 257 literals, 1 distance, 18 lengths of lengths:
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]
    bits += "".join("100" if symbol in (1, 18) else "000" for symbol in order)
    bits += "1" + f"{138 - 11:07b}"[::-1] + "1" + f"{118 - 11:07b}"[::-1]   # 256 times 0
    bits += "0" "0"                     # 1 for the end of a block, 1 for the distance
    bits += "0"                         # the end of the block
    bits = bits * 8
    block = bytes(int(bits[at:at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return (block * (length // len(block) + 1))[:length]


def compressed(sick):
    content = Image().content(3)
    good = deflate(content)
    sick.stream("compressed-garbage", b"\xff" * 100)
    sick.stream("compressed-cut-off", good[:len(good) // 2])
    sick.stream("compressed-too-little", deflate(content[:1000]))
    sick.stream("compressed-empty", deflate(b""))
    sick.stream("compressed-zlib-header", b"\x78\x9c" + good)
    sick.stream("compressed-behind-end", good, offset=4096 << 20)
    sick.stream("compressed-offset-large", good, offset=(1 << 57) + 4096, sectors=0)
    sick.stream("compressed-in-header", good, offset=8)
    sick.stream("compressed-distance-too-far", b"\x05\xc1\x81" + b"\x00" * 30)
    noise = bytes((i * i * 7 + i // 3) & 255 for i in range(4096))
    sick.stream("compressed-sectors-too-few", b"\1" + struct.pack("<HH", 4096, 61439) + noise,
                sectors=2)
    image = with_data(Image())
    offset = image.compressed(3, good)
    sick.add("compressed-and-copied",
             image.l2(3, COMPRESSED | COPIED | offset | (len(good) // 512) << 58))
    image = with_data(Image(cluster_bits=18))
    image.compressed(3, blocks_of_nothing(512 << 10))
    sick.add("compressed-slowly-nothing", image)
    sick.stream("compressed-all-ones", good, offset=(1 << 58) - 1, sectors=15)


def snapshot_entry(l1_offset=0x3000, l1_size=1, extra=b"", extra_size=None, name=b"one"):
    size = len(extra) if extra_size is None else extra_size
    entry = struct.pack(">QIHHIIQII", l1_offset, l1_size, 1, len(name), 0, 0, 0, 0, size)
    return (entry + extra + b"1" + name).ljust(64, b"\0")


def snapshots(sick):
    def add(name, entry, words=None, **fields):
        image = with_data(Image())
        offset = image.new_cluster()
        image.put_bytes(offset, entry)
        sick.add(name, image.set(**{"snapshot_count": 1, "snapshots_offset": offset, **fields}),
                 words)

    extra = struct.pack(">QQ", 0, 8 * 4096)
    add("snapshot-l1-unaligned", snapshot_entry(l1_offset=0x3001, extra=extra))
    add("snapshot-l1-too-large", snapshot_entry(l1_size=0xFFFFFFFF, extra=extra))
    add("snapshot-extra-too-large", snapshot_entry(extra_size=1025),
        "snapshot 0 has more than 1024 bytes of extra data")
    add("snapshot-extra-max", snapshot_entry(extra_size=0xFFFFFFFF),
        "snapshot 0 has more than 1024 bytes of extra data")
    add("snapshots-behind-end", snapshot_entry(extra=extra), snapshots_offset=4096 << 20)
    add("snapshots-more-than-there-are", snapshot_entry(extra=extra), snapshot_count=60000)
    add("snapshots-on-l2-table", snapshot_entry(extra=extra), snapshots_offset=4 * 4096)


def backing(sick):
    def add(name, backing_name, image_format, words):
        sick.add(name, Image().backing(backing_name, image_format), words)

    add("backing-missing", "no-such-file.qcow2", "qcow2",
        "its backing file no-such-file.qcow2: No such file or directory")
    loop = "refers to itself through the files it is based on"
    add("backing-itself", "backing-itself.qcow2", "qcow2", loop)
    add("backing-loop-a", "backing-loop-b.qcow2", "qcow2", f"./backing-loop-a.qcow2: {loop}")
    add("backing-loop-b", "./backing-loop-a.qcow2", "qcow2", f"./backing-loop-b.qcow2: {loop}")
    add("backing-json", 'json:{"driver":"file","filename":"/etc/passwd"}', "raw",
        "its backing file 'json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}' is not a plain "
        "file name, and only those are followed")
    add("backing-nbd", "nbd://localhost/", "raw",
        "its backing file 'nbd://localhost/' is not a plain file name, and only those are "
        "followed")
    add("backing-directory", ".", "raw", "its backing file .: is a directory")
    add("backing-device", "/dev/zero", "raw",
        "its backing file /dev/zero: is neither a regular file nor a block device")
    add("backing-format-unknown", "version-4.qcow2", "qcow9",
        "version-4.qcow2: unknown format 'qcow9'")
    add("backing-is-bad", "version-4.qcow2", "qcow2",
        "version-4.qcow2: qcow2 version 4 is not supported")


def make(place):
    """Returns {name: the words that refuse it}; what is not in there opens."""
    sick = Sick(place)
    for group in (headers, tables, refcounts, compressed, snapshots, backing):
        group(sick)
    return sick.refusals
