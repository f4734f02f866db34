#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compressed clusters that are larger than a request are read by several at once, some of which
# decompress what comes next: from the front, from many places, and where the next cluster is not
# compressed, or is none.
. "$(dirname "$0")/lib.sh"
requires jq

pattern bytes $((8 << 20)) large
od -An -v -tx1 bytes | tr -d ' \n' >plain.raw # which can be compressed
for type in zlib zstd; do
	qemu-img convert -c -f raw -O qcow2 -o cluster_size=2M,compression_type=$type plain.raw \
		image.qcow2
	expect_equal "compressed clusters" \
		"$(qemu-img check --output=json image.qcow2 | jq '."compressed-clusters"')" 8
	qemu-io -f qcow2 -c 'write -P 1 4M 2M' -c 'discard 8M 2M' image.qcow2 >/dev/null
	qemu-img convert -f qcow2 -O raw image.qcow2 wanted
	[ $type = zlib ] || "$IMGFUSE" --info image.qcow2 >/dev/null || continue # built without it
	for _ in 1 2 3; do
		start_export -r image.qcow2
		cmp image.qcow2 wanted
		stop_export
	done
	start_export image.qcow2
	python3 - <<'END'
import concurrent.futures, os, random

def read(offset):
    want, have = (os.open(name, os.O_RDONLY) for name in ("wanted", "image.qcow2"))
    same = os.pread(want, 8192, offset) == os.pread(have, 8192, offset)
    os.close(want), os.close(have)
    return same

places = [random.randrange(16 << 20) for _ in range(500)]
with concurrent.futures.ThreadPoolExecutor(8) as threads:
    assert all(threads.map(read, places))
END
	stop_export
	rm image.qcow2 wanted
done
