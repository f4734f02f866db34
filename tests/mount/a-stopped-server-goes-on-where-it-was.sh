#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A laptop's day: the server is stopped in the middle of writes, and goes on later; it is unmounted
# while it is stopped. Nothing is lost.
. "$(dirname "$0")/lib.sh"

# Stop or continue the server, and all processes that it has started. Those that go on first may end
# all before the last one is told.
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
		# What is stopped when the test ends must go on, or nothing can be cleaned up.
		[ "$pid" = "$server" ] || processes+=("$pid")
		kill -s "$1" "$pid" 2>/dev/null || { [ "$1" = CONT ] && ! [ -e "/proc/$pid" ]; }
	done
}

# Wait until a process sleeps that has no other reason to than that it waits for the server, once it
# is through with waiting for who opens the other end of a pipe.
wait_for_sleep() # PID
{
	local state

	while state=$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null); do
		[[ $state != [SD] ]] || grep -q wait_for_partner "/proc/$1/wchan" || return 0
		[ "$state" != Z ] || break
	done
	signal_all CONT
	fail "did not wait for the server"
}

make_disk -c
cp plain.raw wanted
pattern news $((6 << 20)) news
start_export disk.qcow2

dd if=news of=wanted bs=64k seek=40 conv=notrunc status=none
cat >writer.py <<'END'
import os
news = open("news", "rb").read()
fd = os.open("disk.qcow2", os.O_RDWR | os.O_SYNC)
open("ready", "w").close()
while not os.path.exists("enough"):
    for at in range(0, len(news), 65536):
        os.pwrite(fd, news[at:at + 65536], 40 * 65536 + at)
os.close(fd)
END
mkfifo ready
python3 writer.py &
writer=$!
: <ready
signal_all STOP
wait_for_sleep $writer
: >enough
signal_all CONT
wait $writer || fail "the writer ended with $?"
cmp disk.qcow2 wanted

# Who wants to end it waits.
signal_all STOP
"$IMGFUSE" -u disk.qcow2 &
ending=$!
wait_for_sleep $ending
is_mounted disk.qcow2 || fail "it is not mounted any more"
signal_all CONT
wait $ending || fail "imgfuse -u ended with $?"
expect_server_exit 0
expect_clean_check disk.qcow2
expect_content disk.qcow2 wanted

# It is detached while pages of a mapping are still on their way to it.
start_export disk.qcow2
mkfifo go
cat >holder.py <<'END'
import mmap, os, random
fd = os.open("disk.qcow2", os.O_RDWR)
pages = mmap.mmap(fd, 16 << 20)
os.close(fd)
places = [random.Random(i).randrange(0, 16 << 20) for i in range(500)]
sum(pages[at] for at in places)  # all of them are there
open("ready", "w").close()
open("go").close()
wanted = open("wanted", "r+b")
for at in places:
    pages[at:at + 1] = b"x"
    wanted.seek(at)
    wanted.write(b"x")
wanted.close()
END
python3 holder.py &
holder=$!
: <ready
signal_all STOP
: >go
wait_for_sleep $holder
if [ "$(id -u)" -eq 0 ]; then
	umount -l disk.qcow2
else
	fusermount3 -uz disk.qcow2
fi
signal_all CONT
wait $holder || fail "the holder of the mapping ended with $?"
expect_server_exit 0
expect_not_mounted disk.qcow2
expect_equal "the format" "$(format_of disk.qcow2)" qcow2
expect_clean_check disk.qcow2
expect_content disk.qcow2 wanted
