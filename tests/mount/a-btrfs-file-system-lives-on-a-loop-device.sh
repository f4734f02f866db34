#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# btrfs over a loop device over an exported image: see loop.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$test_script")/loop.sh"
requires mkfs.btrfs fstrim btrfs
requires_loop_devices
requires_kernel_fs btrfs

try_file_system btrfs 400M btrfs check --readonly
