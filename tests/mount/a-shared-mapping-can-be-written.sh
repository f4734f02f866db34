#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# mmap(MAP_SHARED) of the export: what is stored there others read, and it is in the image
# afterwards, synced or not, also when the mapping outlives the descriptor.
. "$(dirname "$0")/lib.sh"

make_disk
for cache in writeback writethrough; do
	cp disk.qcow2 image
	cp plain.raw wanted
	start_export --cache=$cache image
	for file in image wanted; do
		python3 - $file <<'END'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
memory = mmap.mmap(fd, 0)
assert len(memory) == 16 << 20
memory[0:5] = b"first"
memory[(8 << 20) - 3:(8 << 20) + 3] = b"middle"
memory[-4:] = b"last"
memory.flush(0, 4096)
assert os.pread(fd, 6, (8 << 20) - 3) == b"middle"
os.pwrite(fd, b"written", 4 << 20)
assert memory[4 << 20:(4 << 20) + 7] == b"written"
os.close(fd)
memory[12 << 20:(12 << 20) + 9] = b"afterward"
memory.close()
END
	done
	cmp image wanted
	stop_export
	expect_content image wanted
	expect_clean_check image
done

# Nobody has closed anything: a signal still brings what is in the mapping into the image.
start_export image
mkfifo commands answers
python3 -u -c '
import mmap, sys
with open("image", "r+b") as f:
    memory = mmap.mmap(f.fileno(), 0)
memory[1 << 20:(1 << 20) + 5] = b"alive"
print("stored")
sys.stdin.read()
memory[2 << 20:(2 << 20) + 5] = b"later"
' <commands >answers &
mapper=$!
processes+=("$mapper")
exec 8>commands 9<answers
read -r line <&9
expect_equal "what the mapper said" "$line" stored
kill -TERM "$server"
wait_for_log 'in use'
exec 8>&- 9<&-
wait "$mapper"
expect_server_exit 0
for at in 1:alive 2:later; do
	printf '%s' "${at#*:}" | dd of=wanted bs=1M seek="${at%:*}" conv=notrunc status=none
done
expect_content image wanted
expect_clean_check image
