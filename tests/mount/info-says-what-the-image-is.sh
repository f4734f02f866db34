#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --info: format, sizes, cluster size, features and backing chain, without mounting; --json has
# the same under the names that qemu-img uses.
. "$(dirname "$0")/lib.sh"
requires jq

make_disk
qemu-img create -q -f qcow2 -o cluster_size=4k,refcount_bits=1 -b disk.qcow2 -F qcow2 overlay.qcow2 20M

# What both know of an image, in one form.
essence()
{
	jq -S '[., .["backing-image"]? | select(. != null) | {
		format, "virtual-size", "actual-size", "cluster-size",
		"backing-filename", "backing-filename-format",
		compat: ."format-specific".data.compat,
		bits: ."format-specific".data."refcount-bits",
		compression: ."format-specific".data."compression-type",
		lazy: ."format-specific".data."lazy-refcounts",
		extended: ."format-specific".data."extended-l2"
	}]'
}

for image in disk.qcow2 overlay.qcow2 plain.raw; do
	"$IMGFUSE" --info --json $image >ours.json
	qemu-img info --output=json $image >theirs.json
	if [ $image = overlay.qcow2 ]; then
		# qemu-img gives the chain as a list.
		qemu-img info --output=json --backing-chain $image |
			jq '.[0] + {"backing-image": .[1]}' >theirs.json
	fi
	expect_equal "what --info --json says of $image" "$(essence <ours.json)" "$(essence <theirs.json)"
	expect_not_mounted $image
	# Of a chain qemu-img says less.
	for field in image "file format" "virtual size"; do
		expect_equal "'$field' of $image" \
			"$("$IMGFUSE" --info $image | grep -m 1 "^$field:")" \
			"$(qemu-img info $image | grep "^$field:")"
	done
done
expect_match "the backing file" "$("$IMGFUSE" --info overlay.qcow2)" "^backing file: disk.qcow2"
expect_match "the chain" "$("$IMGFUSE" --info overlay.qcow2 | tr '\n' ' ')" \
	"image: overlay.qcow2 .*image: .*disk.qcow2 "
