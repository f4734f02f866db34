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
