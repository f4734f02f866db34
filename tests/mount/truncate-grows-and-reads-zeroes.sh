#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ftruncate and truncate set the size of the disk for real: what is added reads as zeroes, also
# where there was something before a cut, or something in a longer backing file. A cut is logged.
. "$(dirname "$0")/lib.sh"

make_disk
pattern long.raw $((24 << 20))
qemu-img create -q -f qcow2 -b long.raw -F raw overlay.qcow2 10M
cp long.raw overlay.raw
truncate -s 10M overlay.raw
cp plain.raw disk.raw
cp plain.raw raw.raw
cp plain.raw raw.wanted

check() # IMAGE WANTED CACHE
{
	start_export --cache="$3" "$1"
	for size in 20M 7M 9M 13333K 24M 11M; do
		truncate -s $size "$1" "$2"
		expect_equal "size of $1 with --cache=$3" "$(size_of "$1")" "$(size_of "$2")"
		cmp "$1" "$2"
	done
	python3 -c 'import os,sys; os.truncate(sys.argv[1], 12 << 20)' "$1"
	truncate -s 12M "$2"
	cmp "$1" "$2"
	# qcow2 counts in sectors of 512 bytes.
	truncate -s 5000001 "$1"
	if [ "${1##*.}" = qcow2 ]; then truncate -s 5000192 "$2"; else truncate -s 5000001 "$2"; fi
	expect_equal "size of $1 with --cache=$3" "$(size_of "$1")" "$(size_of "$2")"
	cmp "$1" "$2"
	stop_export
	expect_content "$1" "$2"
}

for cache in writeback writethrough none; do
	check disk.qcow2 disk.raw $cache
	expect_clean_check disk.qcow2
	check overlay.qcow2 overlay.raw $cache
	expect_clean_check overlay.qcow2
	check raw.raw raw.wanted $cache
	cmp raw.raw raw.wanted
done

# A disk cut to nothing through a handle is one that somebody meant. That is said, once each time.
start_export disk.qcow2
truncate -s 6M disk.qcow2
expect_equal "the log" "$(cat "$log")" ""
sh -c 'echo $$; exec truncate -s 5M disk.qcow2' >pid
: >disk.qcow2
wait_for_log "^imgfuse: warning: disk.qcow2: process $(cat pid) has cut the disk from 6291456 to 5242880 bytes$"
truncate -s 0 disk.qcow2
wait_for_log "has cut the disk from 5242880 to 0 bytes$"
expect_equal "lines in the log" "$(wc -l <"$log")" 2
expect_equal "size" "$(size_of disk.qcow2)" 0
truncate -s 1M disk.qcow2
expect_equal "size" "$(size_of disk.qcow2)" $((1 << 20))
stop_export
expect_clean_check disk.qcow2
truncate -s 0 disk.raw
truncate -s 1M disk.raw
expect_content disk.qcow2 disk.raw
