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

# What of the image is seen after it was changed: "new", or "old" where that came from the cache;
# "both" where the kernel has dropped some of the pages.
seen() # READER
{
	"$1" >block
	if cmp -s block old; then echo old; elif cmp -s block new; then echo new; else echo both; fi
}

# "OLD OLD", say: what a handle that was there and a new one see of what was read or written before.
try() # CACHE WAY
{
	truncate -s 16M image.raw
	[ "$2" = written ] || dd if=old of=image.raw conv=notrunc status=none
	start_export --format=raw --cache="$1" image.raw mountpoint
	[ "$2" = read ] || dd if=old of=mountpoint bs=64K conv=notrunc,fsync status=none
	exec 7<mountpoint
	cmp <(through_handle) old
	dd if=new of=image.raw conv=notrunc status=none
	result="$(seen through_handle) $(seen through_new_handle)"
	exec 7<&-
	stop_export
	rm image.raw
}

pattern old 65536 old
pattern new 65536 new
: >mountpoint
for way in read written; do
	for cache in writeback writethrough; do
		# The kernel may drop what it has cached at any time, but not each time.
		for attempt in {1..8}; do
			try $cache $way
			[ "$result" != "old old" ] || break
		done
		expect_equal "--cache=$cache: what was $way before, try $attempt" "$result" "old old"
	done
	for attempt in 1 2; do
		try none $way
		expect_equal "--cache=none: what was $way before" "$result" "new new"
	done
done
