#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Random operations on qcow2 images, done by us and by QEMU, must have the same results.

Each seed stands for one image (cluster size, refcount width, version, backing file) and a list of
operations on it: writes, zeroes, discards, resizes, flushes, several at once, the death of the
process; between them snapshots, compressed clusters and writes by QEMU. Our image is compared
with a model in memory and with a twin that qemu-io works on: by reading it ourselves, by
qemu-img convert, compare, check and map, and snapshot by snapshot.

    oracle.py --library=REPLAY [--seed=N] [--count=N] [--seconds=N]     fast, without a mount
    oracle.py --mount=IMGFUSE  [--seed=N] [--count=N] [--seconds=N]     through an export

With both, every tenth seed goes through an export. Images lie in $TMPDIR; on a tmpfs it is faster.

When something is wrong it says so, with a command that does it again, and exits with 1. --keep
leaves the images; --shrink looks for a shorter list of operations that fails too.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time

import qemu
from execution import Execution
from model import Failure
from plan import Plan, make_plan
from players import LibraryPlayer, MountPlayer

SKIPPED = 77
LONGEST_REASON = 2000 # characters
MOUNT_SHARE = 10 # one of so many seeds, where there are both programs


def parse_arguments():
    parser = argparse.ArgumentParser(description="compare imgfuse with QEMU on random operations")
    parser.add_argument("--library", metavar="REPLAY", help="use this program, linked to libimgfmt")
    parser.add_argument("--mount", metavar="IMGFUSE", help="use exports of this program")
    parser.add_argument("--seed", type=int, action="append", help="the first seed; may be repeated")
    parser.add_argument("--random", action="store_true", help="add a random seed to those given")
    parser.add_argument("--count", type=int, default=None, help="how many seeds from each one on")
    parser.add_argument("--seconds", type=float, default=None, help="begin no run after so long")
    parser.add_argument("--operations", type=int, help="the length of each list")
    parser.add_argument("--plan", metavar="FILE", help="execute a list that --shrink has found")
    parser.add_argument("--shrink", metavar="FILE", help="put the shortest failing list there")
    parser.add_argument("--keep", metavar="DIRECTORY", help="leave failing images there")
    parser.add_argument("--go-on", action="store_true", help="do not end at the first failure")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    if not arguments.library and not arguments.mount:
        parser.error("one of --library and --mount is needed")
    return arguments


class Oracle:
    """Runs plans, each in a directory that is gone afterwards."""

    def __init__(self, arguments, directory):
        self.arguments = arguments
        self.directory = directory
        self.patterns = qemu.make_patterns(os.path.join(directory, "patterns"))

    def through_mount(self, plan):
        """Is this seed one for an export?"""
        if self.arguments.library and self.arguments.mount:
            return plan.seed % MOUNT_SHARE == 0
        return bool(self.arguments.mount)

    def player(self, plan):
        """Who works on our image: a class, and the program that it uses."""
        if self.through_mount(plan):
            return MountPlayer, os.path.abspath(self.arguments.mount)
        return LibraryPlayer, os.path.abspath(self.arguments.library)

    def fails(self, plan, keep=None):
        """Execute a plan. Returns why it failed, or None."""
        place = tempfile.mkdtemp(dir=self.directory)
        execution = Execution(plan, place, self.patterns, *self.player(plan))
        try:
            execution.run()
            return None
        except (Failure, OSError) as failure:
            if keep:
                shutil.copytree(place, os.path.join(keep, f"seed-{plan.seed}"), dirs_exist_ok=True)
            return f"{execution.where}: {failure}"[:LONGEST_REASON]
        finally:
            shutil.rmtree(place)

    def shrink(self, plan):
        """Leave out operations as long as what remains fails."""
        operations = plan.operations
        step = max(len(operations) // 2, 1)
        while step:
            at = 0
            while at < len(operations):
                fewer = operations[:at] + operations[at + step:]
                if self.fails(Plan({**plan.fields(), "operations": fewer})):
                    operations = fewer
                else:
                    at += step
            step //= 2
        return Plan({**plan.fields(), "operations": operations})

    def again(self, plan):
        command = f"{sys.argv[0]} " + (f"--mount={self.arguments.mount}" if self.through_mount(plan)
                                       else f"--library={self.arguments.library}")
        if self.arguments.plan:
            return f"{command} --plan={self.arguments.plan}"
        length = f" --operations={self.arguments.operations}" if self.arguments.operations else ""
        return f"{command} --seed={plan.seed}{length}"

    def report(self, plan, reason):
        print(f"seed {plan.seed} FAILED: {reason}\n  image: {plan.describe()}\n"
              f"  again: {self.again(plan)}", flush=True)
        if self.arguments.shrink:
            short = self.shrink(plan)
            with open(self.arguments.shrink, "w", encoding="ascii") as stream:
                json.dump(short.fields(), stream, indent=1)
            print(f"  {len(short.operations)} operations are left in {self.arguments.shrink}: "
                  f"{json.dumps(short.operations)[:1500]}\n  {self.fails(short)}", flush=True)

    def execute(self, plan):
        if self.arguments.verbose:
            print(f"seed {plan.seed}: {plan.describe()}", flush=True)
        reason = self.fails(plan, self.arguments.keep)
        if reason:
            self.report(plan, reason)
        return not reason


def choose_seeds(arguments):
    """The seeds to run, without end where only time limits them."""
    first = list(arguments.seed or [])
    if arguments.random or not first:
        first.append(secrets.randbelow(1 << 31))
        print(f"random seed: {first[-1]}", flush=True)
    count = arguments.count or (None if arguments.seconds and not arguments.seed else 1)
    step = 0
    while count is None or step < count:
        for seed in first:
            yield seed + step
        step += 1


def run_seeds(oracle, arguments):
    begin = time.monotonic()
    done = failed = 0
    for seed in choose_seeds(arguments):
        if arguments.seconds and done and time.monotonic() - begin > arguments.seconds:
            break
        done += 1
        if not oracle.execute(make_plan(seed, arguments.operations)):
            failed += 1
            if not arguments.go_on:
                break
    print(f"{done} runs, {failed} failed, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


def terminate(_signal, _frame):
    sys.exit(1)  # through all that cleans up


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, terminate)
    for program in ("qemu-img", "qemu-io"):
        if not shutil.which(program):
            print(f"skipped: {program} is not installed")
            return SKIPPED
    if arguments.mount and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("skipped: /dev/fuse cannot be opened")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="imgfuse-oracle-") as directory:
        oracle = Oracle(arguments, directory)
        if arguments.plan:
            with open(arguments.plan, encoding="ascii") as stream:
                return 0 if oracle.execute(Plan(json.load(stream))) else 1
        return run_seeds(oracle, arguments)


if __name__ == "__main__":
    sys.exit(main())
