#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ext4 over a loop device over an exported image: see loop.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$test_script")/loop.sh"
requires mkfs.ext4 fstrim e2fsck
requires_loop_devices
requires_kernel_fs ext4

try_file_system ext4 256M e2fsck -fn
