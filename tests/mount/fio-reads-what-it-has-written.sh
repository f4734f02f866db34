#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fio writes blocks of all sizes from several jobs at once, and finds every one again by its
# checksum, with each cache mode, on images with compressed clusters and a backing file below.
. "$(dirname "$0")/lib.sh"
requires fio

make_disk -c
mv disk.qcow2 base.qcow2
for cache in writeback writethrough none; do
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 -o extended_l2=on,cluster_size=64k disk.qcow2
	start_export --cache=$cache disk.qcow2
	direct=0
	[ $cache != none ] || direct=1
	fio --minimal --name=verify --filename=disk.qcow2 --ioengine=libaio --iodepth=8 \
		--rw=randrw --bsrange=512-64k --blockalign=512 --numjobs=4 --size=4m \
		--offset_increment=4m --verify=crc32c --verify_fatal=1 --do_verify=1 --loops=2 \
		--direct=$direct >fio.out 2>&1 ||
		fail "fio: $(cat fio.out)"
	stop_export INT
	expect_clean_check disk.qcow2
	rm disk.qcow2
done
