#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A server that an image has taken over says what it likes when imgfuse -u asks it for its
# processes: also of the same user, nobody waits for one that does not itself say so, or lets it
# go on.
. "$(dirname "$0")/lib.sh"
requires timeout
user=() # all are of one user

# expect_disbelief PID:FD EXPECTED [COMMAND]: what a server says that is not so. COMMAND runs when it
# has mounted.
expect_disbelief()
{
	start_hostile_server "$PWD/cover" "$1"
	${3:-true}
	expect_failure 1 "cover: unmounted, but $2" timeout -s KILL 100 "$IMGFUSE" -u cover
	expect_not_mounted cover
	server=$hostile expect_server_exit 0
}

# memory_of PID NAME: its descriptor of the file in memory of that name.
memory_of()
{
	find "/proc/$1/fd" -lname "/memfd:$2 *" -printf '%f'
}

# What a supervisor would say to vouch for the stranger, where $serving has $words.
forge()
{
	python3 - "/proc/$serving/fd/$words" "$PWD/cover" "$stranger" <<'END'
import os, struct, sys
path, cover, stranger = sys.argv[1:]
with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
    device = next(line.split()[2] for line in mounts if line.split()[4] == cover)
device = os.makedev(*map(int, device.split(":")))
with open(path, "r+b", buffering=0) as words:
    words.write(struct.pack("=Ii2048xIiiiQQ", 1, 0, 1, *[int(stranger)] * 3,
                            os.stat("/proc/self/ns/pid").st_ino, device))
END
}

make_disk
touch cover
mkfifo fifo
exec 7<disk.qcow2
cat fifo &
stranger=$!
processes+=("$stranger")
exec 7<&- 8>fifo
kill -STOP "$stranger"
nobody="the processes that it calls its own say nothing of it"

expect_disbelief "$stranger:7" "$nobody"
expect_disbelief "$stranger:9" "its server has gone without a word"
start_export disk.qcow2
export=$server
serving=$(serving_process)
expect_disbelief "$export:$(memory_of "$export" outcome)" "$nobody"

# It has a file that it can print to: nobody takes that for the supervisor's.
if [ "$(id -u)" -eq 0 ]; then
	words=$(memory_of "$serving" 'last words')
	[ -z "$words" ] || expect_disbelief "$serving:$words" "$nobody" forge
fi
expect_equal "who was stopped is" "$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$stranger/status")" T
server=$export
stop_export
