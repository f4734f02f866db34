#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An image of any kind that truncate(1) shrinks or grows has the size, the content, the map and the
# snapshots that it has when qemu-img resize does it; and what that refuses, we do too.
. "$(dirname "$0")/lib.sh"

pattern content $((3 << 20))
pattern longer $((8 << 20))
pattern shorter $((1 << 20))

# fill IMAGE OPTION...: some data, some zeroes, something at the end.
fill()
{
	qemu-img create -q -f qcow2 "${@:2}" "$1" 4M
	qemu-io -f qcow2 -c "write -s content 100000 1500000" -c "write -z 1M 200k" \
		-c "write -s content 4128768 65536" "$1" >/dev/null
}

# map IMAGE: where its disk has data, neighbours joined, whatever the host has allocated of it.
map()
{
	qemu-img map --output=json "$1" | python3 -c '
import itertools, json, sys
for data, group in itertools.groupby(json.load(sys.stdin), lambda e: e["data"]):
    group = list(group)
    print(data, group[0]["start"], sum(entry["length"] for entry in group))'
}

# described IMAGE: the size of its disk, and of that of each snapshot.
described()
{
	qemu-img info --output=json "$1" | python3 -c '
import json, sys
info = json.load(sys.stdin)
print(info["virtual-size"], [entry["name"] for entry in info.get("snapshots", [])])'
}

# look_at NAME: keep what QEMU says of disk.qcow2, and of its snapshot if there is one.
look_at()
{
	expect_clean_check disk.qcow2
	described disk.qcow2 >"$1.size"
	map disk.qcow2 >"$1.map"
	qemu-img convert -f qcow2 -O raw disk.qcow2 "$1.content"
	! grep -q one "$1.size" || qemu-img convert -f qcow2 -l one -O raw disk.qcow2 "$1.snapshot"
}

bring_back()
{
	local file

	for file in disk.qcow2 data.raw; do
		[ ! -e before.$file ] || cp before.$file $file
	done
}

# compare WHAT SIZE...: bring a disk from one size to the next, in both ways. A disk that shrinks and
# then grows must end with a cluster in between: QEMU shows again what the rest of it held.
compare()
{
	local what=$1 size file

	shift
	for file in disk.qcow2 data.raw; do
		[ ! -e $file ] || mv $file before.$file
	done
	bring_back
	for size; do qemu-img resize -q --shrink -f qcow2 disk.qcow2 "$size"; done
	look_at theirs
	bring_back
	start_export disk.qcow2
	for size; do truncate -s "$size" disk.qcow2; done
	cmp disk.qcow2 theirs.content || fail "$what to $*: the export"
	stop_export INT
	expect_equal "log for $what" "$(sed "/has cut the disk/d" "$log")" ""
	look_at ours
	for file in size map content snapshot; do
		[ ! -e theirs.$file ] || cmp ours.$file theirs.$file || fail "$what to $*: the $file"
	done
	rm -f ours.* theirs.* before.*
}

for options in compat=0.10 compat=0.10,cluster_size=512 compat=1.1 cluster_size=512 cluster_size=2M \
	refcount_bits=1 refcount_bits=64 lazy_refcounts=on extended_l2=on compression_type=zstd \
	preallocation=metadata preallocation=full data_file=data.raw \
	data_file=data.raw,data_file_raw=on; do
	for sizes in "5M 6000128 3000320" "16M 2M 4M"; do
		rm -f disk.qcow2 data.raw
		fill disk.qcow2 -o "$options"
		# shellcheck disable=SC2086 # a list
		compare "$options" $sizes
	done
done
rm -f data.raw

for options in compat=0.10 compat=1.1 cluster_size=512 extended_l2=on; do
	for base in longer shorter; do
		for sizes in "5M 6000128 3000320" 3000320; do
			# QEMU does not know how to hide what lies below there.
			[[ $options,$base,$sizes != compat=0.10,longer,5M* ]] || continue
			rm -f disk.qcow2
			fill disk.qcow2 -o "$options" -b $base -F raw
			# shellcheck disable=SC2086 # a list
			compare "$options over $base" $sizes
		done
	done
done

# Snapshots keep their size. Version 2 has no place to say it, and is refused.
for sizes in 3M "16M 2M 4M"; do
	rm -f disk.qcow2
	fill disk.qcow2
	qemu-img snapshot -c one disk.qcow2
	# shellcheck disable=SC2086 # a list
	compare "with a snapshot" $sizes
done
rm -f disk.qcow2
fill disk.qcow2 -o compat=0.10
qemu-img snapshot -c one disk.qcow2
cp disk.qcow2 before
expect_some_failure qemu-img resize -q -f qcow2 disk.qcow2 5M
start_export disk.qcow2
expect_some_failure truncate -s 5M disk.qcow2
expect_some_failure truncate -s 3M disk.qcow2
expect_equal "the size" "$(size_of disk.qcow2)" $((4 << 20))
stop_export INT
cmp disk.qcow2 before
