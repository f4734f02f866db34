#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --info: format, sizes, cluster size, features and backing chain, without mounting; --json has
# the same under the names that qemu-img uses.
. "$(dirname "$0")/lib.sh"
requires jq

make_disk
qemu-img create -q -f qcow2 -o cluster_size=4k,refcount_bits=1 -b disk.qcow2 -F qcow2 overlay.qcow2 20M

qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on data.qcow2 1M
qemu-img create -q -f qcow2 -o data_file=more.raw,data_file_raw=off more.qcow2 1M
qemu-img create -q -f qcow2 --object secret,id=secret,data=abc \
	-o encrypt.format=aes,encrypt.key-secret=secret encrypted.qcow2 1M
qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 1M
printf '\1' | dd of=dirty.qcow2 bs=1 seek=79 conv=notrunc status=none
qemu-img create -q -f qcow2 corrupt.qcow2 1M
printf '\2' | dd of=corrupt.qcow2 bs=1 seek=79 conv=notrunc status=none

# What both know of an image, in one form.
essence()
{
	jq -S '[., .["backing-image"]? | select(. != null) | {
		format, "virtual-size", "cluster-size",
		# our own counts the data file, too
		"actual-size": (if ."format-specific".data."data-file-raw" != null
			then null else ."actual-size" end),
		"backing-filename", "backing-filename-format", "dirty-flag", encrypted,
		compat: ."format-specific".data.compat,
		bits: ."format-specific".data."refcount-bits",
		compression: ."format-specific".data."compression-type",
		lazy: ."format-specific".data."lazy-refcounts",
		extended: ."format-specific".data."extended-l2",
		corrupt: ."format-specific".data.corrupt,
		"data-file-raw": ."format-specific".data."data-file-raw"
	}]'
}

for image in disk.qcow2 overlay.qcow2 plain.raw data.qcow2 more.qcow2 encrypted.qcow2 dirty.qcow2 \
	corrupt.qcow2; do
	"$IMGFUSE" --info --json $image >ours.json 2>said
	qemu-img info --output=json $image >theirs.json
	if [ $image = overlay.qcow2 ]; then
		# qemu-img gives the chain as a list.
		qemu-img info --output=json --backing-chain $image |
			jq '.[0] + {"backing-image": .[1]}' >theirs.json
	fi
	essence <theirs.json >wanted
	[ -s wanted ] || fail "nothing to compare for $image"
	expect_equal "what --info --json says of $image" "$(essence <ours.json)" "$(cat wanted)"
	expect_not_mounted $image
	# Of a chain qemu-img says less.
	for field in image "file format" "virtual size" "cleanly shut down"; do
		expect_equal "'$field' of $image" \
			"$("$IMGFUSE" --info $image 2>said | sed -n "/^$/q; /^$field:/p")" \
			"$(qemu-img info $image | sed -n "/^$field:/p")"
	done
done
expect_match "the backing file" "$("$IMGFUSE" --info overlay.qcow2)" "^backing file: disk.qcow2"
expect_match "the chain" "$("$IMGFUSE" --info overlay.qcow2 | tr '\n' ' ')" \
	"image: overlay.qcow2 .*image: .*disk.qcow2 "
