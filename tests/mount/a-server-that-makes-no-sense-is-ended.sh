#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A server whose channel to the supervisor ends, or says what is no message, while it goes on
# serving: it is ended, with status 1 and with nothing mounted.
. "$(dirname "$0")/lib.sh"
requires_root # to have a hand in its descriptors

make_disk
for how in nonsense nothing end; do
	start_export disk.qcow2
	python3 - "$(serving_process)" $how <<'END'
import ctypes, os, socket, sys
PIDFD_GETFD = 438
pid, how = int(sys.argv[1]), sys.argv[2]
folder = f"/proc/{pid}/fd"
(number,) = [fd for fd in os.listdir(folder)
             if os.readlink(f"{folder}/{fd}").startswith("socket:")]
fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, os.pidfd_open(pid), int(number), 0)
assert fd >= 0, os.strerror(ctypes.get_errno())
with socket.socket(fileno=fd) as channel:
    if how == "end":
        channel.shutdown(socket.SHUT_RDWR)
    else:
        channel.send(b"abc" if how == "nonsense" else b"")
END
	expect_server_exit 1
	expect_not_mounted disk.qcow2
	expect_match "what it said" "$(cat "$log")" "the server was killed by SIGKILL"
done
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
