#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compressed clusters that share a host cluster, that lie in two of them, that end with the file,
# and that lie beyond 4 GiB: they are read, and what is written into them goes to a cluster of its
# own, which leaves the others as they are and frees every place that is not needed any more.
. "$(dirname "$0")/lib.sh"

# kinds IMAGE: which kinds of compressed clusters there are, a word for each, from its tables.
kinds()
{
	python3 - "$1" <<'END'
import collections, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
cluster_bits, l1_size, l1_offset = struct.unpack(">20xI12xIQ", os.pread(fd, 48, 0))
cluster = 1 << cluster_bits
shift = 62 - (cluster_bits - 8)
end_of_file = os.fstat(fd).st_size
found = set()
users = collections.Counter()
for (entry,) in struct.iter_unpack(">Q", os.pread(fd, l1_size * 8, l1_offset)):
    l2_offset = entry & 0x00FFFFFFFFFFFE00
    for (entry,) in struct.iter_unpack(">Q", os.pread(fd, cluster, l2_offset) if l2_offset else b""):
        if not entry >> 62 & 1:
            continue
        offset = entry & ((1 << shift) - 1)
        last = (offset & ~511) + ((entry >> shift & (1 << (62 - shift)) - 1) + 1) * 512 - 1
        touched = range(offset >> cluster_bits, (last >> cluster_bits) + 1)
        users.update(touched)
        found.add("some")
        if len(touched) > 1:
            found.add("straddling")
        if last + 1 >= end_of_file:
            found.add("at-the-end")
        if offset >= 1 << 32:
            found.add("beyond-4-GiB")
if users and max(users.values()) > 1:
    found.add("sharing")
print(*sorted(found))
END
}

# text FILE SIZE: what compresses to less than half, differently everywhere.
text()
{
	python3 - "$1" "$2" <<'END'
import random, sys
noise = random.Random(sys.argv[2]).randbytes(int(sys.argv[2]))
with open(sys.argv[1], "wb") as f:
    f.write(noise.translate(b"abcdefg " * 32))
END
}

compressed_clusters()
{
	qemu-img check --output=json "$1" | python3 -c '
import json, sys
print(json.load(sys.stdin).get("compressed-clusters", 0))'
}

# both COMMAND...: a change to the export disk.qcow2 and to the plain file "content".
both()
{
	local file

	for file in disk.qcow2 content; do "$@" $file; done
}

put() # OFFSET LENGTH FILE
{
	head -c "$2" noise | dd of="$3" bs=64k seek="$1" oflag=seek_bytes conv=notrunc status=none
}

punch() # OFFSET LENGTH FILE
{
	fallocate --punch-hole --offset "$1" --length "$2" "$3"
}

# The compressed clusters of disk.qcow2, of CLUSTER bytes, are in the last LENGTH bytes of the disk.
change_and_compare() # CLUSTER LENGTH
{
	local cluster=$1 length=$2 begin before end

	before=$(compressed_clusters disk.qcow2)
	end=$(size_of content)
	begin=$((end - length))
	# The kernel's cache would write whole pages, of more than one cluster.
	start_export --cache=none disk.qcow2
	expect_equal "the size" "$(size_of disk.qcow2)" "$end"
	cmp -i $begin disk.qcow2 content
	# In the middle of one, over the edge of two, a whole one, a hole in one, and the very last bytes.
	both put $((begin + cluster / 2)) 7
	both put $((begin + 3 * cluster - 5)) 10
	both put $((begin + 5 * cluster)) "$cluster"
	both punch $((begin + 7 * cluster)) "$cluster"
	both punch $((begin + 9 * cluster + 3)) 20
	both put $((end - 3)) 3
	cmp -i $begin disk.qcow2 content
	stop_export INT
	expect_clean_check disk.qcow2
	expect_content disk.qcow2 content
	expect_equal "compressed clusters" "$(compressed_clusters disk.qcow2)" $((before - 7))
	# All the rest: there is nothing left of them, neither in the tables nor in the refcounts.
	start_export disk.qcow2
	both put $begin "$length"
	stop_export INT
	expect_clean_check disk.qcow2
	expect_content disk.qcow2 content
	expect_equal "compressed clusters" "$(compressed_clusters disk.qcow2)" 0
}

pattern noise $((24 << 20))

for options in compat=0.10,cluster_size=512 compat=0.10 cluster_size=512 cluster_size=4096 \
	cluster_size=65536 cluster_size=4096,compression_type=zstd compression_type=zstd \
	cluster_size=16384,extended_l2=on cluster_size=16384,extended_l2=on,compression_type=zstd \
	cluster_size=2097152,refcount_bits=64; do
	cluster=65536
	[[ $options =~ cluster_size=([0-9]+) ]] && cluster=${BASH_REMATCH[1]}
	length=$((cluster * (cluster == 2097152 ? 12 : 40)))
	text content $length
	rm -f disk.qcow2
	qemu-img convert -c -f raw -O qcow2 -o "$options" content disk.qcow2
	expect_equal "kinds of compressed clusters" "$(kinds disk.qcow2)" "at-the-end sharing some straddling"
	change_and_compare "$cluster" $length
done

# Sparse images of more than 4 GiB: QEMU puts what is added to a preallocated disk behind it.
for options in compat=0.10 compat=1.1 compression_type=zstd; do
	rm -f disk.qcow2 content
	qemu-img create -q -f qcow2 -o "$options,preallocation=metadata" disk.qcow2 4200M
	qemu-img resize -q disk.qcow2 4202M
	text tail $((2 << 20))
	qemu-io -f qcow2 -c "write -c -s tail 4200M 2M" disk.qcow2 >/dev/null
	truncate -s 4200M content
	dd if=tail of=content bs=1M seek=4200 conv=notrunc status=none
	expect_match "kinds of compressed clusters" "$(kinds disk.qcow2)" 'beyond-4-GiB sharing some straddling'
	change_and_compare 65536 $((2 << 20))
done
