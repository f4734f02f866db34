#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --discard=off: what is punched reads as zeroes, and the image file keeps its size on the host.
. "$(dirname "$0")/lib.sh"

pattern plain.raw $((16 << 20))
qemu-img convert -f raw -O qcow2 plain.raw disk.qcow2
for discard in off on; do
	cp disk.qcow2 image
	cp plain.raw wanted
	before=$(space_of image)
	start_export --discard=$discard image
	fallocate -p -o 4M -l 8M image
	fallocate -p -o 4M -l 8M wanted
	cmp image wanted
	stop_export
	freed=$((before - $(space_of image)))
	case $discard in
	off) [ $freed -le $((1 << 20)) ] || fail "$freed bytes were freed" ;;
	on) [ $freed -ge $((7 << 20)) ] || fail "only $freed bytes were freed" ;;
	esac
	expect_content image wanted
	expect_clean_check image
done
