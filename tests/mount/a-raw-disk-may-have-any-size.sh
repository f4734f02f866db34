#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A raw disk that is not a multiple of 512 bytes, one that is a single byte, and an empty one.
. "$(dirname "$0")/lib.sh"

for size in 1 511 513 4097 1000003; do
	for cache in writeback writethrough none; do
		pattern plain.raw $size
		cp plain.raw wanted
		start_export --format=raw --cache=$cache plain.raw
		expect_equal "size" "$(size_of plain.raw)" $size
		cmp plain.raw wanted
		for file in plain.raw wanted; do
			printf x | dd of=$file bs=1 seek=$((size - 1)) conv=notrunc status=none
		done
		cmp plain.raw wanted
		expect_equal "bytes to read" "$(dd if=plain.raw bs=1M status=none | wc -c)" $size
		stop_export
		cmp plain.raw wanted
	done
done
: >empty
start_export empty
expect_equal "size" "$(size_of empty)" 0
expect_equal "bytes to read" "$(wc -c <empty)" 0
stop_export
