#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --cache-size bounds the memory that tables take, and a disk that is not in use takes none,
# whatever its size.
. "$(dirname "$0")/lib.sh"

# What the server has for itself, in KiB.
memory()
{
	awk '/^RssAnon/ { print $2 }' "/proc/$server/status"
}

# The memory after all tables were looked at: what is allocated in advance reads as holes.
memory_after_search() # OPTION...
{
	start_export "$@"
	expect_some_failure python3 -c 'import os; os.lseek(os.open("disk.qcow2", 0), 0, os.SEEK_DATA)'
	memory
	stop_export
}

# With clusters this small, 4 MiB of L2 tables.
qemu-img create -q -f qcow2 -o cluster_size=512,preallocation=metadata disk.qcow2 256M
small=$(memory_after_search --cache-size=256K disk.qcow2)
large=$(memory_after_search --cache-size=64M disk.qcow2)
[ "$small" -le 3000 ] || fail "with --cache-size=256K it takes $small KiB"
[ "$large" -ge $((small + 3000)) ] || fail "with --cache-size=64M it takes $large KiB, else $small"

qemu-img create -q -f qcow2 disk.qcow2 1G
start_export disk.qcow2
small=$(memory)
stop_export
qemu-img create -q -f qcow2 disk.qcow2 16T
start_export disk.qcow2
large=$(memory)
stop_export
[ "$large" -le $((small + 200)) ] || fail "16 TiB take $large KiB, 1 GiB takes $small"
