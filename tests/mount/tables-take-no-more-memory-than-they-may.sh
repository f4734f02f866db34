#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --cache-size bounds the memory that tables take, and a disk that is not in use takes none,
# whatever its size.
. "$(dirname "$0")/lib.sh"

# It would write to memory that nobody has used yet.
unset MALLOC_PERTURB_

make_disk
start_export --verbose disk.qcow2
stop_export
! grep -q 'this build has a sanitizer' "$log" || skip "a sanitizer has memory of its own"

# What the server has for itself, in KiB.
memory()
{
	awk '/^RssAnon/ { print $2 }' "/proc/$(serving_process)/status"
}

# The memory after every L2 table was looked at; each is for 2 MiB of the disk.
memory_after_reading() # OPTION...
{
	start_export --cache=none "$@"
	python3 - <<'END'
import os
disk = os.open("disk.qcow2", os.O_RDONLY)
for at in range(0, 2 << 30, 2 << 20):
    os.pread(disk, 1, at)
END
	memory
	stop_export
}

# With clusters this small, 4 MiB of L2 tables.
qemu-img create -q -f qcow2 -o cluster_size=4k,preallocation=metadata disk.qcow2 2G
small=$(memory_after_reading --cache-size=256K disk.qcow2)
large=$(memory_after_reading --cache-size=64M disk.qcow2)
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
