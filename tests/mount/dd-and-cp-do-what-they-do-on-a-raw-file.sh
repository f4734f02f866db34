#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Reading with dd, cp --sparse=always and cat, and writing with cp, dd with and without
# conv=notrunc, tee and shell redirection give what they give on a raw file, with every cache mode.
. "$(dirname "$0")/lib.sh"

make_disk
pattern full $((16 << 20)) full
pattern part 1234567 part
for format in qcow2 raw; do
	for cache in writeback writethrough none; do
		image=image.$format
		cp disk.qcow2 image.qcow2
		cp plain.raw image.raw
		cp plain.raw wanted
		start_export --cache=$cache $image

		dd if=$image of=copy bs=123456 status=none
		cmp copy wanted
		dd if=$image of=copy bs=1M skip=15 status=none
		cmp copy <(tail -c 1M wanted)
		dd if=$image of=copy iflag=direct bs=1M status=none
		cmp copy wanted
		cp --sparse=always $image copy
		cmp copy wanted
		cmp <(cat $image) wanted

		dd if=part of=$image bs=777 seek=4321 conv=notrunc status=none
		dd if=part of=wanted bs=777 seek=4321 conv=notrunc status=none
		cmp $image wanted
		# Not truncated, as a block device is not: what follows stays.
		dd if=part of=$image bs=100k status=none
		dd if=part of=wanted bs=100k conv=notrunc status=none
		cmp $image wanted
		cat part part >$image
		cat part part | dd of=wanted bs=1M iflag=fullblock conv=notrunc status=none
		cmp $image wanted
		dd if=full of=$image bs=1M count=3 seek=7 oflag=direct conv=notrunc status=none
		dd if=full of=wanted bs=1M count=3 seek=7 conv=notrunc status=none
		cmp $image wanted
		tee $image <full >/dev/null
		cmp $image full
		# Punches the holes that it makes. (Plain cp of a file with holes relies on having
		# emptied the target before, so, as on a block device, what was there shows.)
		cp --sparse=always plain.raw $image
		cmp $image plain.raw
		cp full $image
		cmp $image full
		cp --sparse=never plain.raw $image
		cmp $image plain.raw
		stop_export
		expect_content $image plain.raw
	done
	[ $format = raw ] || expect_clean_check "$image"
done
