#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A SIGHUP that the caller had ignored, as nohup has it, does nothing, in the background neither. The
# ^C of a script is not for what it has in the background, where SIGINT is ignored.
. "$(dirname "$0")/lib.sh"

make_disk
launch bash -c 'trap "" HUP; exec "$@"' - "$IMGFUSE" --verbose disk.qcow2
kill -HUP "$server"
# Signals that wait are taken in the order of their numbers, SIGHUP first.
stop_export TERM
! grep 'got SIGHUP' "$log" || fail "it took the SIGHUP"

trap "" HUP
start_daemon disk.qcow2
trap 'exit 129' HUP
ignored=$(sed -n 's/^SigIgn:[[:space:]]*//p' "/proc/$server/status")
[ $((16#$ignored & 1)) -eq 1 ] || fail "it does not ignore SIGHUP: $ignored"
kill -HUP "$server"
exec 7<disk.qcow2
exec 7<&-
expect_mounted disk.qcow2
kill -TERM "$server"
wait_for_exit "$server"

# In a terminal, where it is in the group that ^C is for.
timeout 60 python3 - "$IMGFUSE" <<'END2'
import os, pty, signal, subprocess, sys
for ignored in (True, False):
    master, slave = pty.openpty()
    read_end, write_end = os.pipe()

    def prepare():
        import fcntl, termios
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)

    process = subprocess.Popen([sys.argv[1], "--verbose", "disk.qcow2"], stdin=slave,
                               stdout=write_end, stderr=subprocess.PIPE, preexec_fn=prepare)
    os.close(write_end)
    assert os.read(read_end, 4096)
    os.write(master, b"\x03")
    said = b""
    if ignored:
        # It is seen to be there after the ^C has had its effect, which was on the group.
        with open("disk.qcow2", "rb") as disk:
            disk.read(1)
        process.terminate()
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert (b"got SIGINT" in said) == (not ignored), said
    assert (b"got SIGTERM" in said) == ignored, said
    for fd in (master, slave, read_end):
        os.close(fd)
END2
expect_not_mounted disk.qcow2
