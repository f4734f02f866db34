#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# xfs over a loop device over an exported image: see loop.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$test_script")/loop.sh"
requires mkfs.xfs fstrim xfs_repair
requires_loop_devices
requires_kernel_fs xfs

try_file_system xfs 400M xfs_repair -n
