#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# SEEK_DATA and SEEK_HOLE show what the image does not store, so that cp, tar and qemu-img skip it.
. "$(dirname "$0")/lib.sh"
requires xfs_io

make_disk
cp --sparse=always plain.raw sparse.raw
qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2
qemu-io -f qcow2 -c 'write -P 7 4M 64k' -c 'write -z 0 64k' overlay.qcow2 >/dev/null

holes() # FILE: "DATA offset" and "HOLE offset", from the beginning
{
	xfs_io -r -c 'seek -a -r 0' "$1" | grep -E 'DATA|HOLE' | grep -v EOF | tr '\t' ' '
}

for image in disk.qcow2 sparse.raw; do
	start_export $image
	expect_equal "holes of $image" "$(holes $image | tr '\n' ' ')" \
		"DATA 0 HOLE 1048576 DATA 15728640 HOLE 16777216 "
	# A reader does not change that.
	exec 7<$image
	expect_equal "holes of $image" "$(holes $image | tr '\n' ' ')" \
		"DATA 0 HOLE 1048576 DATA 15728640 HOLE 16777216 "
	exec 7>&-
	cp --sparse=auto $image copy
	[ "$(space_of copy)" -le $((3 << 20)) ] || fail "the copy takes $(space_of copy) bytes"
	cmp copy plain.raw
	stop_export
done

start_export -r overlay.qcow2
expect_equal "holes of overlay.qcow2" "$(holes overlay.qcow2 | tr '\n' ' ')" \
	"HOLE 0 DATA 65536 HOLE 1048576 DATA 4194304 HOLE 4259840 DATA 15728640 HOLE 16777216 "
stop_export

# Nothing but a hole.
qemu-img create -q -f qcow2 empty.qcow2 1G
start_export empty.qcow2
expect_equal "holes of empty.qcow2" "$(holes empty.qcow2 | tr '\n' ' ')" "HOLE 0 "
stop_export

# What lies at the end of a disk of many TiB is found at once.
qemu-img create -q -f qcow2 large.qcow2 16T
qemu-io -f qcow2 -c "write -P 7 $(((16 << 40) - 65536)) 64k" large.qcow2 >/dev/null
start_export -r large.qcow2
expect_equal "holes of large.qcow2" "$(holes large.qcow2 | tr '\n' ' ')" \
	"HOLE 0 DATA $(((16 << 40) - 65536)) HOLE $((16 << 40)) "
stop_export

# A disk of 128 TiB may have long tables that say again and again that there is nothing. Then an
# answer still takes no more than a second or so, and the next one goes on from there.
python3 - <<'END'
import struct
cluster, l1_size = 65536, 1 << 18
l2_offset = 4 * cluster + l1_size * 8
with open("endless.qcow2", "wb") as image:
    image.write(struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, l1_size << 29, 0,
                            l1_size, 4 * cluster, cluster, 1, 0, 0, 0, 0, 0, 4, 112))
    image.seek(4 * cluster)
    image.write(struct.pack(">Q", l2_offset) * l1_size)
    image.truncate(l2_offset + cluster)
END
(
	ulimit -t 30
	exec "$IMGFUSE" --daemonize --pidfile pidfile -r endless.qcow2
)
server=$(cat pidfile)
processes+=("$server")
python3 - <<'END'
import os
disk = os.open("endless.qcow2", os.O_RDONLY)
first = os.lseek(disk, 0, os.SEEK_DATA)
assert 0 < first < 128 << 40, first
assert os.lseek(disk, first, os.SEEK_HOLE) == first
assert os.lseek(disk, first, os.SEEK_DATA) > first
END
"$IMGFUSE" --unmount endless.qcow2
wait_for_exit "$server"
