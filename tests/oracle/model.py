# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a disk must hold: a model in memory, and the data that a seed stands for (see data.h)."""

import zlib

RING_LENGTH = 4093
SHORT_RING_LENGTH = 61
SEEDS = 129


class Failure(Exception):
    """The image, or a program that works on it, is not as it must be."""


def make_ring(count, state=1):
    ring = bytearray()
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        ring.append(state >> 24)
    return bytes(ring)


RING = make_ring(RING_LENGTH)


def ring_of(seed):
    """The bytes that data of a seed repeats."""
    if seed >= 128:
        return b"\0"
    length = RING_LENGTH if seed < 64 else SHORT_RING_LENGTH
    at = seed % 64 * 997 % length
    ring = RING[:length]
    return ring[at:] + ring[:at]


def data_of(seed, count):
    ring = ring_of(seed)
    return (ring * (count // len(ring) + 1))[:count]


class Model:
    """A disk and its snapshots. Ranges must lie inside the disk."""

    def __init__(self, content):
        self.content = bytearray(content)
        self.snapshots = {}

    @property
    def size(self):
        return len(self.content)

    def write(self, offset, length, seed):
        self.content[offset:offset + length] = data_of(seed, length)

    def zero(self, offset, length):
        self.content[offset:offset + length] = bytes(length)

    def resize(self, size):
        if size < self.size:
            del self.content[size:]
        else:
            self.content.extend(bytes(size - self.size))

    def crc(self, offset, length):
        return zlib.crc32(memoryview(self.content)[offset:offset + length])

    def compare(self, content, who):
        """Raise unless content is the disk's; who names where it was read."""
        compare(self.content, content, who)


def compare(expected, content, who):
    if len(content) != len(expected):
        raise Failure(f"{who}: {len(content)} bytes instead of {len(expected)}")
    if content == expected:
        return
    at = next(i for i in range(0, len(expected), 512)
              if content[i:i + 512] != expected[i:i + 512])
    while content[at] == expected[at]:
        at += 1
    end = len(expected)
    while content[end - 1] == expected[end - 1]:
        end -= 1
    raise Failure(f"{who}: wrong from {at:#x} on (up to {end:#x}): "
                  f"{bytes(content[at:at + 8]).hex()} instead of "
                  f"{bytes(expected[at:at + 8]).hex()}")
