# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The sound part of the zoo: an image for each feature. make(place) makes them below a directory and
returns their names; what they must hold is what qemu-img reads from them.
"""

import os
import struct
import subprocess

import craft
import features as looks
import zoo
from craft import COPIED, ZERO, Image, deflate, extension

PATTERN = "pattern.tmp"
SECRET = ("--object", f"secret,id=secret,data={zoo.PASSPHRASE}")
ENCRYPT = "encrypt.format=aes,encrypt.key-secret=secret"


def run(*command, cwd=None, accept=(0,)):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode not in accept:
        raise RuntimeError(f"{command}: {done.stdout.decode()}")


class Place:
    """Makes images in a directory, by qemu-img and qemu-io or out of bytes."""

    def __init__(self, directory):
        self.directory = directory
        self.names = []
        self.helpers = []
        with open(os.path.join(directory, PATTERN), "wb") as stream:
            stream.write(b"The quick brown fox jumps over the lazy dog. 0123456789\n")

    def path(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def put(self, name, content):
        with open(self.path(name), "wb") as stream:
            stream.write(content)
        self.names.append(name)

    def helper(self, name):
        """The last image is only there because others need it."""
        self.helpers.append(name)

    def snapshot(self, name, snapshot):
        run("qemu-img", "snapshot", "-c", snapshot, *self.opening(name),
            cwd=os.path.dirname(self.path(name)))
        self.names.append(f"{name}@{snapshot}")

    def create(self, name, size, *options, backing=None, image_format="qcow2"):
        command = ["qemu-img", "create", "-q", *SECRET, "-f", image_format]
        if options:
            command += ["-o", ",".join(options)]
        if backing:
            command += ["-b", backing[0], "-F", backing[1]]
        path = self.path(name)
        run(*command, os.path.basename(path), str(size), cwd=os.path.dirname(path))
        self.names.append(name)

    def opening(self, name):
        """How a tool of QEMU is told to open an image in the working directory."""
        options = [f"driver={name.rpartition('.')[2]}", f"file.filename={os.path.basename(name)}"]
        if "AES" in " ".join(looks.features(self.path(name))):
            options.append(ENCRYPT)
        return [*SECRET, "--image-opts", ",".join(options)]

    def io(self, name, *commands, accept=(0,)):
        arguments = [part for command in commands for part in ("-c", command)]
        pattern = os.path.join(self.directory, PATTERN)
        arguments = [argument.replace("$PATTERN", pattern) for argument in arguments]
        run("qemu-io", *arguments, *self.opening(name), cwd=os.path.dirname(self.path(name)),
            accept=accept)

    def convert(self, name, source, image_format, *options):
        """Another image with the disk of one that is there. Options are of qemu-img convert."""
        path = self.path(name)
        run("qemu-img", "convert", *SECRET, "-O", image_format, *options, self.path(source), path)
        self.names.append(name)

    def image(self, name, image):
        self.put(name, image.build())


def write(offset, length):
    return f"write -s $PATTERN {offset} {length}"


def cluster_sizes(place):
    for bits in range(9, 22):
        size = 1 << bits
        name = f"good/cluster-{size}.qcow2"
        place.create(name, 6 * size + 512, f"cluster_size={size}")
        place.io(name, write(3, 100), write(2 * size, size), f"write -z {3 * size} {size}",
                 write(5 * size - 7, 14), write(6 * size, 512))
    for bits in (9, 16):
        size = 1 << bits
        name = f"good/v2-cluster-{size}.qcow2"
        place.create(name, 200 * size, f"cluster_size={size}", "compat=0.10")
        place.io(name, write(3, 100), write(100 * size + 5, 2 * size), f"discard {101 * size} {size}")


def refcounts(place):
    for bits in (1, 2, 4, 8, 16, 32, 64):
        name = f"good/refcount-{bits}.qcow2"
        place.create(name, 1 << 20, "cluster_size=512", f"refcount_bits={bits}")
        place.io(name, write(0, 30000), write(700000, 30000), f"discard 10240 10240")


def compressed(place):
    for size in (512, 4096, 65536, 2 << 20):
        name = f"good/compressed-{size}.qcow2"
        place.create(name, 5 * size, f"cluster_size={size}")
        place.io(name, f"write -c -s $PATTERN 0 {3 * size}", f"write -c -P 7 {4 * size} {size}")
    for size in (4096, 65536):
        name = f"good/compressed-zstd-{size}.qcow2"
        place.create(name, 5 * size, f"cluster_size={size}", "compression_type=zstd")
        place.io(name, f"write -c -s $PATTERN 0 {3 * size}", f"write -c -P 7 {4 * size} {size}")
    name = "good/compressed-v2.qcow2"
    place.create(name, 5 * 4096, "cluster_size=4096", "compat=0.10")
    place.io(name, "write -c -s $PATTERN 0 12288", write(5000, 10))


def crafted_compressed(place):
    image = Image()
    streams = [deflate(image.content(index)) for index in range(4)]
    image.compressed(0, streams[0])
    image.compressed_end = 6 * image.cluster - 20
    image.compressed(1, streams[1])
    image.compressed(3, streams[3])
    place.image("good/compressed-over-two-clusters.qcow2", image)
    image = Image()
    offset = image.compressed(2, streams[2])
    image.length = offset + len(streams[2])
    place.image("good/compressed-cut-off-in-last-sector.qcow2", image)
    image = Image()
    image.compressed(0, streams[0], sectors=3)
    place.image("good/compressed-more-sectors-than-needed.qcow2", image)
    image = Image()
    longer = deflate(image.content(1) + b"and more than a cluster holds" * 9)
    image.compressed(1, longer)
    place.image("good/compressed-inflates-to-more.qcow2", image)
    image = Image()
    stored = b"\1" + struct.pack("<HH", 4096, 4096 ^ 0xFFFF) + image.content(5)
    image.compressed(5, stored)
    place.image("good/compressed-stored-block.qcow2", image)


def zeroes(place):
    name = "good/zero-flag.qcow2"
    place.create(name, 65536, "cluster_size=4096")
    place.io(name, write(0, 65536), "write -z 4096 8192", "write -zu 20480 8192",
             "discard 32768 4096")
    name = "good/zero-over-backing.qcow2"
    place.create("good/zero-over-backing-base.qcow2", 65536, "cluster_size=4096")
    place.io("good/zero-over-backing-base.qcow2", write(0, 65536))
    place.create(name, 65536, "cluster_size=4096",
                 backing=("zero-over-backing-base.qcow2", "qcow2"))
    place.io(name, "write -z 4096 8192", "discard 32768 4096", write(40000, 100))


def backing(place):
    place.put("good/backing-base.raw", b"raw base " * 2000 + b"end")
    place.create("good/backing-base.qcow2", 20000 // 512 * 512, "cluster_size=1024")
    place.io("good/backing-base.qcow2", write(1000, 9000))
    for name, size, base in (("equal", 19968, "qcow2"), ("longer", 65536, "qcow2"),
                             ("shorter", 7168, "qcow2"), ("raw", 32768, "raw")):
        overlay = f"good/backing-{name}.qcow2"
        place.create(overlay, size, "cluster_size=4096", backing=(f"backing-base.{base}", base))
        place.io(overlay, write(4000, 200))
    place.create("good/backing-v2.qcow2", 32768, "cluster_size=512", "compat=0.10",
                 backing=("backing-base.qcow2", "qcow2"))
    place.create("good/backing-chain.qcow2", 32768, "cluster_size=512",
                 backing=("backing-shorter.qcow2", "qcow2"))
    place.io("good/backing-chain.qcow2", write(100, 1))
    place.create("good/below/backing-above.qcow2", 32768,
                 backing=("../backing-longer.qcow2", "qcow2"))
    image = Image(version=2)
    image.put_bytes(100, b"backing-base.qcow2")
    image.set(backing_offset=100, backing_length=18)
    place.image("good/backing-without-format.qcow2", image)
    image = Image().backing("backing-base.raw", "raw")
    image.put_bytes(1024 + 16, b"\0garbage")
    place.image("good/backing-name-with-nul.qcow2", image.set(backing_length=24))
    place.image("good/backing-name-empty.qcow2", Image().set(backing_offset=512))


def snapshots(place):
    for bits, compat in ((16, "1.1"), (2, "1.1"), (16, "0.10")):
        name = f"good/snapshots-refcount-{bits}-compat-{compat}.qcow2"
        options = ["cluster_size=512", f"compat={compat}"]
        place.create(name, 65536, *options, *([f"refcount_bits={bits}"] if bits != 16 else []))
        place.io(name, write(0, 40000))
        place.snapshot(name, "first")
        place.io(name, "write -P 1 10000 9000")
        place.snapshot(name, "second")
        place.io(name, "write -P 2 100 200", "discard 20480 1024")


def preallocated(place):
    for mode in ("metadata", "falloc", "full"):
        name = f"good/preallocation-{mode}.qcow2"
        place.create(name, 65536, "cluster_size=4096", f"preallocation={mode}")
        place.io(name, write(5000, 100))


def features(place):
    name = "good/lazy-refcounts-dirty.qcow2"
    place.create(name, 65536, "cluster_size=4096", "lazy_refcounts=on")
    place.io(name, write(100, 20000), "flush", "abort", accept=(-6,))
    place.image("good/marked-corrupt.qcow2", with_data(Image().set(incompatible=2)))
    name = "good/bitmap.qcow2"
    place.create(name, 1 << 20)
    run("qemu-img", "bitmap", "--add", "--enable", place.path(name), "changes")
    place.io(name, write(100, 20000))
    name = "good/extended-l2.qcow2"
    place.create(name, 1 << 20, "cluster_size=64k", "extended_l2=on")
    place.io(name, write(3000, 3000), write(70000, 100), "write -z 0 4096", write(200000, 100000),
             "discard 262144 65536", "write -zu 210000 10000", f"write -c -s $PATTERN 524288 65536")
    for raw in ("off", "on"):
        name = f"good/data-file-raw-{raw}.qcow2"
        place.create(name, 1 << 18, f"data_file=data-file-raw-{raw}.raw", f"data_file_raw={raw}")
        place.io(name, write(3000, 3000), write(140000, 100), "discard 65536 65536")
        place.names.append(f"good/data-file-raw-{raw}.raw")
        place.helper(f"good/data-file-raw-{raw}.raw")


def with_data(image):
    for index in (0, 2, 5):
        image.data(index)
    return image


def odd_headers(place):
    """What QEMU accepts though it is unusual."""
    def add(name, image):
        place.image(f"good/{name}.qcow2", with_data(image))

    add("size-not-sectors", Image().set(size=8 * 4096 - 100))
    add("size-0", Image().set(size=0))
    add("l1-larger-than-needed", Image().set(l1_size=400))
    add("header-length-104", Image().set(header_length=104))
    add("header-length-unknown-fields", Image().set(header_length=200).extensions(
        b"\xff" * 88, extension(craft.EXT_BACKING_FORMAT, b"raw")))
    add("header-padding", Image().extensions(b"\1\2\3\4\5\6\7", at=105))
    add("unknown-compatible-bits", Image().set(compatible=0x8000000000000100))
    add("unknown-autoclear-bits", Image().set(autoclear=0x8000000000000100))
    add("unknown-extensions", Image().extensions(extension(0x12345678, b"abc"),
                                                  extension(0x12345678, b""),
                                                  extension(craft.EXT_END, b"")))
    add("extension-data-file-unused", Image().extensions(
        extension(craft.EXT_DATA_FILE, b"/nonexistent")))
    add("extension-bitmaps-stale", Image().extensions(
        extension(craft.EXT_BITMAPS, b"\xff" * 24)))
    image = with_data(Image())
    image.length = len(image.bytes) - 3000
    place.image("good/file-ends-in-cluster.qcow2", image)
    image = with_data(Image())
    place.image("good/zero-flag-with-offset.qcow2",
                image.l2(3, image.new_cluster() | COPIED | ZERO))


def encrypted(place):
    """
    There is a copy of the disk in the clear, which shows that the hashes are right. What is encrypted
    cannot be compressed any more, so clusters are small.
    """
    place.put("good/clear.raw", b"".join(b"sector %d, " % sector * 40 for sector in range(20))
              .ljust(16384, b"\0"))
    for version, compat in ((2, "0.10"), (3, "1.1")):
        place.convert(f"good/encrypted-aes-v{version}.qcow2", "good/clear.raw", "qcow2",
                      "-o", f"compat={compat},cluster_size=1024,{ENCRYPT}")
    name = "good/encrypted-aes-snapshot.qcow2"
    place.convert(name, "good/clear.raw", "qcow2", "-o", f"cluster_size=4096,{ENCRYPT}")
    place.snapshot(name, "before")
    place.io(name, write(1000, 9000))
    name = "good/encrypted-aes-backing.qcow2"
    place.create(name, 1 << 18, ENCRYPT, "cluster_size=4096", backing=("clear.raw", "raw"))
    place.io(name, write(1000, 3000), write(140000, 100), "write -z 8192 1024")
    name = "good/encrypted-aes-extended-l2.qcow2"
    place.create(name, 1 << 18, ENCRYPT, "cluster_size=64k", "extended_l2=on",
                 backing=("clear.raw", "raw"))
    place.io(name, write(3000, 3000), write(140000, 100), "write -z 8192 4096")
    name = "good/encrypted-aes-data-file.qcow2"
    place.create(name, 1 << 18, ENCRYPT, "cluster_size=4096", "data_file=encrypted-aes-data-file.raw")
    place.io(name, write(3000, 3000), write(140000, 100))
    place.names.append("good/encrypted-aes-data-file.raw")
    place.helper("good/encrypted-aes-data-file.raw")


def qcow1(place):
    place.convert("good/qcow1.qcow", "good/clear.raw", "qcow")
    # qemu-img convert -c fails for this format.
    place.create("good/qcow1-compressed.qcow", 20480, image_format="qcow")
    place.io("good/qcow1-compressed.qcow", "write -c -s $PATTERN 4096 4096",
             "write -c -P 3 12288 4096", write(16384, 512))
    place.convert("good/qcow1-encrypted.qcow", "good/clear.raw", "qcow", "-o", ENCRYPT)
    name = "good/qcow1-encrypted-backing.qcow"
    place.create(name, 20000 // 512 * 512, ENCRYPT, image_format="qcow",
                 backing=("clear.raw", "raw"))
    place.io(name, write(3072, 3072))
    place.create("good/qcow1-backing.qcow", 20000 // 512 * 512, image_format="qcow",
                 backing=("clear.raw", "raw"))


def huge(place):
    name = "good/huge-4-tib.qcow2"
    place.create(name, 4 << 40)
    place.io(name, write(0, 1000), write((2 << 40) - 5, 10), write((4 << 40) - 512, 512))
    name = "good/huge-2-mib-clusters.qcow2"
    place.create(name, 8 << 40, "cluster_size=2M")
    place.io(name, write((8 << 40) - 512, 512))


def raw(place):
    place.put("good/odd-size.raw", b"a raw disk " * 300 + b"!")
    place.put("good/one-byte.raw", b"x")
    place.put("good/empty.raw", b"")


def make(place):
    for group in (cluster_sizes, refcounts, compressed, crafted_compressed, zeroes, backing,
                  snapshots, preallocated, features, odd_headers, encrypted, qcow1, huge, raw):
        group(place)
