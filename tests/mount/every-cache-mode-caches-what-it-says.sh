#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What was read once, or written, is read from the kernel's cache with --cache=writeback and
# writethrough, also by who opens the export anew, and from the image with none: seen by changing
# the image behind the export's back.
. "$(dirname "$0")/lib.sh"

# The first 64 KiB of the export, through a handle that stays open, and through a new one.
through_handle()
{
	python3 -c 'import os, sys; sys.stdout.buffer.write(os.pread(7, 65536, 0))'
}

through_new_handle()
{
	head -c 65536 mountpoint
}

pattern old 65536 old
pattern new 65536 new
: >mountpoint
for cache in writeback writethrough none; do
	case $cache in none) seen=new ;; *) seen=old ;; esac
	for way in read written; do
		truncate -s 16M image.raw
		[ $way = written ] || dd if=old of=image.raw conv=notrunc status=none
		start_export --format=raw --cache=$cache image.raw mountpoint
		[ $way = read ] || dd if=old of=mountpoint bs=64K conv=notrunc,fsync status=none
		exec 7<mountpoint
		cmp <(through_handle) old
		dd if=new of=image.raw conv=notrunc status=none
		for reader in through_handle through_new_handle; do
			cmp <($reader) $seen ||
				fail "--cache=$cache: what was $way before is not the $seen block, $reader"
		done
		exec 7<&-
		stop_export
		rm image.raw
	done
done
