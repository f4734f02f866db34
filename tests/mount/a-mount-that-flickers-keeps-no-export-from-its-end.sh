#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An ordinary user mounts over the image and unmounts, again and again, while root exports it.
# Root is perhaps refused; but what has become usable ends when it is told to, and is not there
# any more.
. "$(dirname "$0")/lib.sh"
requires_root
requires timeout

make_disk
become_users_directory
cat >flicker.py <<'END'
import array, os, socket, subprocess, sys
target = sys.argv[1]

def read_device(end):
    fds = array.array("i", [0])
    _, ancillary, _, _ = end.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
    for _, _, data in ancillary:
        fds.frombytes(data)
        os.close(fds.pop())

while not os.path.exists("enough"):
    ours, its = socket.socketpair()
    with ours, its:
        environment = dict(os.environ, _FUSE_COMMFD=str(its.fileno()))
        options = f"fsname=imgfuse:{target},subtype=imgfuse"
        subprocess.run(["fusermount3", "-o", options, "--", target], env=environment,
                       pass_fds=[its.fileno()], stderr=subprocess.DEVNULL, check=False)
        its.close()
        read_device(ours)
        subprocess.run(["fusermount3", "-uz", target], stderr=subprocess.DEVNULL, check=False)
END
"${user[@]}" python3 flicker.py "$PWD/disk.qcow2" &
flicker=$!
processes+=("$flicker")

ended=0
for ((attempt = 0; attempt < 200 && ended < 12; attempt++)); do
	timeout -s KILL 60 "$IMGFUSE" --daemonize --pidfile pid disk.qcow2 2>>refused || continue
	server=$(cat pid)
	processes+=("$server")
	kill -TERM "$server"
	wait_for_exit "$server" || fail "it does not end"
	forget_process "$server"
	! grep -F "$PWD/disk.qcow2 " /proc/self/mountinfo | grep 'user_id=0,' || fail "it is still mounted"
	ended=$((ended + 1))
done
touch enough
wait "$flicker"
forget_process "$flicker"
umount -l disk.qcow2 2>/dev/null || :
[ "$ended" -gt 0 ] || fail "it was always refused: $(tail -n 1 refused)"
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
