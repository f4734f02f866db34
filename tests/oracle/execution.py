# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Executes a plan: each operation on our image, on a twin of it through qemu-io, and on a model; and
compares the three whenever our image is closed.
"""

import os
import shutil

import qemu
from model import Failure, Model, compare
from plan import SECTOR


def sync_file(path):
    """What is not written back yet may look like a hole, or like data, as the kernel pleases."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def round_up(size, unit):
    return (size + unit - 1) // unit * unit


class Execution:
    """One run in a directory of its own. player_class and program decide who works on our image."""

    def __init__(self, plan, directory, patterns, player_class, program):
        self.plan = plan
        self.directory = directory
        self.patterns = patterns
        self.path = os.path.join(directory, "ours.qcow2")
        self.twin_path = os.path.join(directory, "twin.qcow2")
        self.data_path = os.path.join(directory, "ours.data")
        self.player = player_class(program, self.path, plan)
        self.twin = qemu.Io(self.twin_path, patterns)
        self.model = None
        self.bases = {}
        self.files = [self.data_path if plan.data_file else self.path]  # what holds data
        self.where = "making the images"
        self.is_open = False
        self.twin_is_lost = False  # it could not follow, until it is renewed
        self.touched = []  # ranges that need not survive the end of the process
        self.cluster_size = plan.options["cluster_size"]
        self.raw_is_known = plan.data_file == "raw"  # it holds what the disk holds

    # ---- making the images ----

    def _fill(self, path, image_format):
        model = Model(bytes(self.plan.backing_size))
        image = qemu.Io(path, self.patterns, image_format)
        for offset, length, seed in self.plan.backing_writes:
            length = min(length, model.size - offset)
            if length > 0:
                model.write(offset, length, seed)
                image.write(offset, length, seed)
        image.finish()
        return bytes(model.content)

    def _make_base(self):
        """Returns the content that shows through, and the name and format for the overlay."""
        plan = self.plan
        image_format = plan.backing if plan.backing in ("raw", "qcow") else "qcow2"
        name = f"base.{image_format}"
        path = os.path.join(self.directory, name)
        options = {"cluster_size": 4096} if image_format == "qcow2" else None
        qemu.create(path, plan.backing_size, options, image_format=image_format)
        content = self._fill(path, image_format)
        if plan.backing == "compressed":
            qemu.compress(path)
        if plan.backing == "chain":
            qemu.create(os.path.join(self.directory, "middle.qcow2"), plan.backing_size,
                        {"cluster_size": 1024}, name, "qcow2")
            self.files.append(os.path.join(self.directory, "middle.qcow2"))
            name = "middle.qcow2"
        self.files.append(path)
        return content, name, image_format

    def _options(self):
        options = dict(self.plan.options)
        if self.plan.data_file:
            options["data_file"] = self.data_path
            options["data_file_raw"] = "on" if self.plan.data_file == "raw" else "off"
        return options

    def _make_images(self):
        plan = self.plan
        content, name, image_format = self._make_base() if plan.backing else (b"", None, None)
        qemu.create(self.path, plan.size, self._options(), name, image_format)
        self.model = Model(content[:plan.size].ljust(plan.size, b"\0"))
        self._renew_twin()
        for entry in os.listdir(self.directory):
            if entry.startswith(("base.", "middle.")):
                with open(os.path.join(self.directory, entry), "rb") as stream:
                    self.bases[entry] = stream.read()

    # ---- operations ----

    def run(self):
        try:
            self._make_images()
            for number, operation in enumerate(self.plan.operations):
                self.where = f"operation {number}, {operation[:4]}"
                self._execute(*operation)
            self.where = "the end"
            self._leave()
            self._compare()
            self._compare_twin()
            self._check_bases()
        finally:
            self.player.abandon()

    def _execute(self, name, *arguments):
        method = getattr(self, "_do_" + name.replace("-", "_"), None)
        if method:
            method(*arguments)
        else:
            self._enter()
            self._range_operation(name, *arguments)

    def _enter(self):
        if not self.is_open:
            self.player.begin()
            self.is_open = True
            self.player.size(self.model.size)

    def _leave(self):
        """Close our image, if it is open, and compare everything."""
        if self.is_open:
            self.player.read(0, bytes(self.model.content))
            self.player.end()
            self.is_open = False
            self.touched.clear()
            self._compare()

    def _clip(self, offset, length):
        offset = min(offset, self.model.size)
        return offset, min(length, self.model.size - offset)

    def _call(self, name, offset, length, *rest):
        """The player's method and arguments for an operation, done on the model and the twin."""
        if name == "read":
            return "read", (offset, bytes(self.model.content[offset:offset + length]))
        self.touched.append((offset, length))
        if name == "write":
            self.model.write(offset, length, *rest)
            self.twin.write(offset, length, *rest)
        else:
            self.model.zero(offset, length)
            self.twin.zero(offset, length, unmap=name == "discard")
        return name, (offset, length, *rest)

    def _range_operation(self, name, offset, length, *rest):
        offset, length = self._clip(offset, length)
        if length:
            method, arguments = self._call(name, offset, length, *rest)
            getattr(self.player, method)(*arguments)

    def _do_parallel(self, threads, operations):
        self._enter()
        calls = []
        for name, *arguments in operations:
            if name == "flush":
                calls.append((name, ()))
                continue
            offset, length, *rest = arguments
            offset, length = self._clip(offset, length)
            if length:
                calls.append(self._call(name, offset, length, *rest))
        if calls:
            self.player.parallel(threads, calls)

    def _do_flush(self):
        self._enter()
        self.player.flush()
        self.touched.clear()

    def _do_writeback(self):
        self._enter()
        self.player.writeback()
        self.touched.clear()

    def _do_reopen(self):
        self._enter()
        self.player.reopen()
        self.player.size(self.model.size)
        self.touched.clear()

    def _do_map(self):
        self._enter()
        self.player.map(bytes(self.model.content))

    def _cannot_resize(self):
        return self.plan.options["compat"] == "0.10" and self.model.snapshots

    def _cannot_discard(self):
        """QEMU does not, where what is below would show again."""
        return self.plan.options["compat"] == "0.10" and self.plan.backing

    def _do_truncate(self, size):
        self._enter()
        rounded = round_up(size, SECTOR)
        if self._cannot_resize() and size != self.model.size:
            self.player.truncate_refused(size)
            return
        self.player.truncate(size)
        if rounded != self.model.size:
            if self.player.TRUNCATE_FLUSHES:
                self.touched.clear()
            self._resize_twin(rounded)
        self.model.resize(rounded)
        self.player.size(rounded)

    def _qemu_cannot_grow(self):
        """QEMU 7 does not, where it would have to write zeroes over what is below."""
        extended = self.plan.options.get("extended_l2") == "on"
        return self._cannot_discard() or (self.plan.backing and extended)

    def _resize_twin(self, size):
        if size > self.model.size and self._qemu_cannot_grow():
            self._compare_twin()
            self.twin_is_lost = True
        else:
            self.twin.resize(self.model.size, size)

    def _do_die(self, synced):
        """End without closing. Only what was not handed over may be lost, and clusters may leak."""
        self._enter()
        if synced:
            self._do_writeback()
        self.player.die()
        self.is_open = False
        qemu.check(self.path, leaks_allowed=True)
        found = qemu.content(self.path)
        expected = bytearray(self.model.content)
        if len(found) == len(expected):
            for offset, length in self.touched:
                expected[offset:offset + length] = found[offset:offset + length]
        compare(expected, found, "after the end of the process")
        qemu.repair_leaks(self.path)
        if self.touched:
            self._compare_twin()
            self.model.content = expected
            self.raw_is_known = False  # data may be there that no table tells of
            self._renew_twin()
            self.touched.clear()
        self._compare()

    # ---- operations of others, on the closed image ----

    def _both(self):
        """Close everything, and return what writes to each of the two images."""
        self._leave()
        self._settle_twin()
        return qemu.Io(self.path, self.patterns), self.twin

    def _snapshot(self, *arguments):
        """qemu-img snapshot on both images. Returns whether both could."""
        self._leave()
        self._settle_twin()
        paths = (self.path, self.twin_path)
        statuses = [qemu.run("qemu-img", "snapshot", *arguments, path, accept=(0, 1))
                    for path in paths]
        for (status, _), path in zip(statuses, paths):
            if status:
                # QEMU leaks what it had allocated so far, and has resized the disk already.
                qemu.repair_leaks(path)
                self.model.content = bytearray(qemu.content(self.path))
        if statuses[0][0] != statuses[1][0]:
            # Narrow refcounts overflow earlier where compressed clusters share more.
            if self.plan.options.get("refcount_bits", 16) > 4:
                raise Failure(f"qemu-img snapshot: {statuses}")
            self._renew_twin()
        return statuses[0][0] == 0

    def _do_snapshot(self, name):
        if self.plan.data_file or name in self.model.snapshots:
            return
        if self._snapshot("-c", name):
            self.model.snapshots[name] = bytes(self.model.content)

    def _do_snapshot_delete(self, name):
        if name in self.model.snapshots and self._snapshot("-d", name):
            del self.model.snapshots[name]

    def _do_snapshot_apply(self, name):
        if name in self.model.snapshots and self._snapshot("-a", name):
            self.model.content = bytearray(self.model.snapshots[name])

    def _do_compressed(self, offset, length, seed):
        offset, length = self._clip(offset // self.cluster_size * self.cluster_size,
                                    round_up(length, self.cluster_size))
        if not length or self._cannot_discard() or self.plan.data_file:
            return
        for image in self._both():
            # QEMU compresses only where there is no cluster yet.
            image.discard(offset, length)
            image.write(offset, length, seed, compressed=True)
            image.finish()
        self.model.write(offset, length, seed)

    def _do_qemu_write(self, offset, length, seed):
        offset, length = self._clip(offset, length)
        if not length:
            return
        for image in self._both():
            image.write(offset, length, seed)
            image.finish()
        self.model.write(offset, length, seed)

    def _do_qemu_zero(self, offset, length):
        offset, length = self._clip(offset, length)
        if not length:
            return
        for image in self._both():
            image.zero(offset, length, unmap=False)
            image.finish()
        self.model.zero(offset, length)

    def _do_qemu_discard(self, offset, length):
        if self._cannot_discard():
            return
        offset, length = self._clip(round_up(offset, self.cluster_size), length)
        length = length // self.cluster_size * self.cluster_size
        if not length:
            return
        for image in self._both():
            image.discard(offset, length)
            image.finish()
        self.model.zero(offset, length)

    def _do_qemu_truncate(self, size):
        if self._cannot_resize() or size == self.model.size:
            return
        if size > self.model.size and self._qemu_cannot_grow():
            return
        for image in self._both():
            image.resize(self.model.size, size)
            image.finish()
        self.model.resize(size)

    # ---- comparing ----

    def _renew_twin(self):
        """Begin again with a copy of our image."""
        self.twin.commands.clear()
        self.twin_is_lost = False
        shutil.copyfile(self.path, self.twin_path)
        if not self.plan.data_file:
            return
        twin_data = os.path.join(self.directory, "twin.data")
        shutil.copyfile(self.data_path, twin_data)
        with open(self.twin_path, "r+b") as stream:
            head = stream.read(self.cluster_size)
            stream.seek(0)
            stream.write(head.replace(self.data_path.encode(), twin_data.encode()))

    def _compare_twin(self):
        """What QEMU did comes to what the model says. Our image may be open."""
        if not self.twin_is_lost:
            self.twin.finish()
            self.model.compare(qemu.content(self.twin_path), "what QEMU made")

    def _settle_twin(self):
        """Our image is closed: let the twin be as far as it is."""
        if self.twin_is_lost:
            self._renew_twin()
        self.twin.finish()

    def _compare(self):
        """Our image, which is closed, is sound, and holds what the model holds."""
        qemu.check(self.path, leaks_allowed=False)
        self.model.compare(qemu.content(self.path), "our image, read by qemu-img")
        for name, content in self.model.snapshots.items():
            # QEMU shows a snapshot in the size that the disk has now.
            size = min(len(content), self.model.size)
            found = qemu.content(self.path, snapshot=name)[:size]
            compare(content[:size], found, f"snapshot {name}")
            self.player.check_snapshot(name, content)
        if self.raw_is_known:
            with open(self.data_path, "rb") as stream:
                # qemu-img create makes it as long as whole clusters.
                self.model.compare(stream.read(self.model.size), "the raw data file")
        self._compare_maps()

    def _maps(self):
        """Where there is data and where holes are, as we and QEMU see it; holes are zeroes."""
        for path in self.files:
            sync_file(path)
        ours = qemu.join_map(self.player.data_map())
        for offset, length, data in ours:
            if not data and self.model.content[offset:offset + length] != bytes(length):
                raise Failure(f"the hole at {offset} of {length} bytes is none")
        return ours, qemu.data_map(self.path, self.files)

    def _compare_maps(self):
        """We find data and holes where QEMU does."""
        ours, theirs = self._maps()
        if ours != theirs:
            # The host's file system may still have been making up its mind, while it wrote back.
            ours, theirs = self._maps()
        if ours != theirs:
            raise Failure(f"our map is {ours}, that of QEMU {theirs}")

    def _check_bases(self):
        for entry, content in self.bases.items():
            with open(os.path.join(self.directory, entry), "rb") as stream:
                if stream.read() != content:
                    raise Failure(f"{entry} has changed")
