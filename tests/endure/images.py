# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images of many kinds, made by qemu-img."""

import os
import subprocess

from exports import Wrong

MIB = 1 << 20

# name: options of the qcow2, whether it begins full, with a backing file, compressed, or a snapshot
KINDS = {
    "raw": None,
    "plain": ("", "empty"),
    "full-4096": ("cluster_size=4096", "full"),
    "full-512": ("cluster_size=512", "full"),
    "refcount-1": ("cluster_size=4096,refcount_bits=1", "full"),
    "refcount-64": ("cluster_size=1024,refcount_bits=64", "full"),
    "version-2": ("compat=0.10,cluster_size=4096", "backing"),
    "compressed": ("cluster_size=16384", "compressed"),
    "backing": ("cluster_size=65536", "backing"),
    "compressed-base": ("cluster_size=16384", "compressed-base"),
    "snapshot": ("cluster_size=4096", "snapshot"),
    "extended": ("extended_l2=on,cluster_size=16384", "empty"),
    "extended-backing": ("extended_l2=on,cluster_size=131072", "backing"),
    "data-file": ("data_file=data.raw,data_file_raw=off", "empty"),
    "data-file-raw": ("data_file=data.raw,data_file_raw=on,cluster_size=16384", "empty"),
    "large-clusters": ("cluster_size=2M", "full"),
}


def _qemu_img(directory, *arguments):
    done = subprocess.run(["qemu-img", *arguments], cwd=directory, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Wrong(f"qemu-img {' '.join(arguments)}: {done.stderr.strip()}")


def make(directory, kind, rng, size):
    """Make image in a directory. Returns its path, and what its disk holds."""
    content = bytearray(rng.randbytes(size))
    content[size // 4:size // 2] = bytes(size // 2 - size // 4)
    for name in ("image", "data.raw", "base", "plain"):
        if os.path.exists(os.path.join(directory, name)):
            os.unlink(os.path.join(directory, name))
    plain = os.path.join(directory, "plain")
    path = os.path.join(directory, "image")
    with open(plain, "wb") as f:
        f.write(content)
    if KINDS[kind] is None:
        os.rename(plain, path)
        return path, content
    options, begins = KINDS[kind]
    options = ["-o", options] if options else []
    if begins == "empty":
        _qemu_img(directory, "create", "-q", "-f", "qcow2", *options, "image", str(size))
        return path, bytearray(size)
    if begins in ("backing", "compressed-base"):
        base = ["-O", "qcow2", "-c"] if begins == "compressed-base" else ["-O", "raw"]
        _qemu_img(directory, "convert", "-f", "raw", *base, "plain", "base")
        _qemu_img(directory, "create", "-q", "-f", "qcow2", *options, "-b", "base", "-F", base[1],
                  "image", str(size))
    else:
        pack = ["-c"] if begins == "compressed" else []
        _qemu_img(directory, "convert", "-f", "raw", "-O", "qcow2", *pack, *options, "plain",
                  "image")
    if begins == "snapshot":
        _qemu_img(directory, "snapshot", "-c", "before", "image")
    return path, content


def arguments(kind):
    return ["--format=raw" if KINDS[kind] is None else "--format=qcow2"]


def check(directory, kind, leaks_allowed):
    """Raises Wrong where qemu-img check finds errors. Returns whether it finds leaks."""
    if KINDS[kind] is None:
        return False
    done = subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", "image"], cwd=directory,
                          capture_output=True, text=True, check=False)
    if done.returncode == 0 or (leaks_allowed and done.returncode == 3):
        return done.returncode == 3
    words = (done.stdout + done.stderr).strip().splitlines()
    raise Wrong(f"qemu-img check ends with {done.returncode}: {' / '.join(words[:4])}")
