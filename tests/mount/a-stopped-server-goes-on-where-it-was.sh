#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A laptop's day: the server is stopped in the middle of writes, and goes on later; it is stopped
# and then unmounted, which waits for it. Nothing is lost.
. "$(dirname "$0")/lib.sh"

# Stop or continue the server, and all processes that it has started.
signal_all() # SIGNAL
{
	local pid

	for pid in $(python3 - "$server" <<'END'
import os, sys
found = [int(sys.argv[1])]
for each in found:
    for task in os.listdir(f"/proc/{each}/task"):
        with open(f"/proc/{each}/task/{task}/children") as f:
            found += map(int, f.read().split())
print(*found)
END
	); do
		kill -s "$1" "$pid"
	done
}

# Wait until a process sleeps; those that we ask for do so only when they wait for the server.
wait_until_blocked()
{
	local state

	while state=$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null); do
		[[ $state != [SD] ]] || return 0
		[ "$state" != Z ] || break
	done
	fail "$2 did not wait for the server"
}

unmount()
{
	if [ "$(id -u)" -eq 0 ]; then
		exec umount "$1"
	else
		exec fusermount3 -u "$1"
	fi
}

make_disk
cp plain.raw wanted
pattern news $((6 << 20)) news
start_export disk.qcow2

dd if=news of=wanted bs=64k seek=40 conv=notrunc status=none
dd if=news of=disk.qcow2 bs=64k seek=40 conv=notrunc,fsync oflag=sync status=none &
writer=$!
# In the middle: something has arrived, and something has not.
while ! cmp -s -n 65536 <(tail -c +$((40 * 65536 + 1)) disk.qcow2) news; do
	kill -0 $writer || fail "the writer has ended"
done
signal_all STOP
wait_until_blocked $writer "dd"
signal_all CONT
wait $writer || fail "dd ended with $?"
cmp disk.qcow2 wanted

# Pages that are dirty when the server is stopped and unmounted.
python3 - <<'END'
import mmap, os, random
for name, given in (("wanted", False), ("disk.qcow2", True)):
    fd = os.open(name, os.O_RDWR)
    pages = mmap.mmap(fd, 16 << 20)
    os.close(fd)
    rng = random.Random(1)
    for _ in range(500):
        at = rng.randrange(0, 16 << 20)
        pages[at:at + 1] = b"x"
    # Not synced: it is the kernel's to bring there.
END
signal_all STOP
unmount disk.qcow2 &
unmounting=$!
wait_until_blocked $unmounting "unmounting"
signal_all CONT
wait $unmounting || fail "unmounting ended with $?"
expect_server_exit 0
expect_not_mounted disk.qcow2
expect_equal "the format" "$(format_of disk.qcow2)" qcow2
expect_clean_check disk.qcow2
expect_content disk.qcow2 wanted
