#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A server that asks and asks, and hears none of the answers, does not make the supervisor wait: it is
# ended, with status 1 and with nothing mounted.
. "$(dirname "$0")/lib.sh"
requires_root # to have a hand in its descriptors

make_disk
start_export disk.qcow2
serving=$(serving_process)
processes+=("$serving")
kill -STOP "$serving"
# The answers are given in the name of the helper.
python3 - "$server" "$(helper_process)" <<'END2'
import ctypes, faulthandler, os, select, socket, struct, sys
faulthandler.dump_traceback_later(100, exit=True)
PIDFD_GETFD = 438
MESSAGE_CORRECTED = 7  # enum message_type
supervisor, helper = map(int, sys.argv[1:])

def sockets(pid):
    folder = f"/proc/{pid}/fd"
    links = {os.readlink(f"{folder}/{fd}"): int(fd) for fd in os.listdir(folder)}
    return {name: fd for name, fd in links.items() if name.startswith("socket:")}

# It has the supervisor's end to the server, too.
(number,) = [fd for name, fd in sockets(helper).items() if name not in sockets(supervisor)]
fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, os.pidfd_open(helper), number, 0)
assert fd >= 0, os.strerror(ctypes.get_errno())
end = os.pidfd_open(supervisor)
answer = struct.pack("iiiiQqqqqQQQQ", MESSAGE_CORRECTED, *[0] * 12) + b"\0"  # struct message
with socket.socket(fileno=fd) as channel:
    try:
        while not select.select([end], [channel], [])[0]:
            channel.send(answer)
    except (BrokenPipeError, ConnectionResetError):
        pass
END2
expect_server_exit 1
expect_not_mounted disk.qcow2
expect_match "what it said" "$(cat "$log")" "the server does not listen any more"
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2
