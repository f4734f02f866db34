#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A qcow2 file or a data file that ends before the clusters that its tables speak of was cut short. Who
# reads what is missing gets zeroes, as with QEMU, and a warning says once where that begins. A file
# that ends inside its last cluster is sound.
. "$(dirname "$0")/lib.sh"

pattern content $((1 << 20))

# cut FILE BYTES: leave out so many at its end.
cut_off()
{
	truncate -s $(($(size_of "$1") - $2)) "$1"
}

# expect_cut GUEST-OFFSET: disk.qcow2 reads as QEMU does, with one warning. What lies there is read first:
# of what is read ahead several threads may meet any part first.
expect_cut()
{
	qemu-img convert -f qcow2 -O raw disk.qcow2 seen
	start_export --read-only --cache=none disk.qcow2
	dd if=disk.qcow2 of=/dev/null iflag=skip_bytes skip=$(($1)) bs=512 count=1 status=none
	wait_for_log "disk.qcow2: was cut short: .* guest offset $1 needs"
	cmp disk.qcow2 seen
	stop_export
	expect_equal "lines in the log" "$(wc -l <"$log")" 1
}

make()
{
	rm -f disk.qcow2 data.raw
	qemu-img create -q -f qcow2 -o "$1" disk.qcow2 2M
	start_export disk.qcow2
	dd if=content of=disk.qcow2 bs=1M conv=notrunc status=none
	stop_export
}

for options in cluster_size=4096 cluster_size=65536 compat=0.10 cluster_size=65536,extended_l2=on; do
	make "$options"
	cut_off disk.qcow2 511
	start_export disk.qcow2
	cmp -n 1000000 disk.qcow2 content
	stop_export
	expect_equal "log of a sound image" "$(cat "$log")" ""
	make "$options"
	cut_off disk.qcow2 300000
	if [[ $options = *4096* ]]; then expect_cut 0xb7000; else expect_cut 0xc0000; fi
done

make data_file=data.raw
truncate -s 100000 data.raw
expect_cut 0x20000
grep -q "its data file ends" "$log" || fail "which file?"

# The tables: without the L2 table nothing is left. QEMU puts it before the data.
qemu-img create -q -f qcow2 disk.qcow2 2M
qemu-io -f qcow2 -c "write 1M 64k" disk.qcow2 >/dev/null
truncate -s 262144 disk.qcow2
expect_cut 0x0
truncate -s 196608 disk.qcow2
expect_cut 0x0
