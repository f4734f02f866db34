#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# qemu-img and qemu-io read and write the export as the raw disk that it is: convert from it and
# onto it, compare, map, discard and write zeroes.
. "$(dirname "$0")/lib.sh"
requires jq

make_disk
pattern other $((16 << 20)) other
for cache in writeback writethrough none; do
	cp disk.qcow2 image
	start_export --cache=$cache image
	qemu-img convert -f raw -O qcow2 image copy.qcow2
	qemu-img compare -q -f qcow2 -F raw copy.qcow2 plain.raw
	qemu-img convert -f raw -O raw image copy.raw
	cmp copy.raw plain.raw
	# The holes are known without reading.
	expect_equal "data" "$(qemu-img map -f raw --output=json image |
		jq '[.[] | select(.data) | .length] | add')" $((2 << 20))
	# qemu-img makes no new file here: -n.
	qemu-img convert -n -f raw -O raw other image
	cmp image other
	cp other wanted
	for file in image wanted; do
		qemu-io -f raw -d unmap -t none -c 'write -P 17 100k 300k' -c 'write -z 2M 1000k' \
			-c 'discard 5M 2M' -c 'write -z -u 8M 3M' -c 'aio_write -P 18 15M 1M' \
			-c flush $file >io.log || fail "qemu-io: $(cat io.log)"
	done
	cmp image wanted
	stop_export
	expect_content image wanted
	expect_clean_check image
done
