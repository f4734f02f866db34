#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --watch-fd takes what tells that its other end is closed, and only while it is open; no descriptor
# that is closed is taken, though something of ours could have its number. In the foreground and in
# the background. An empty message is no end.
. "$(dirname "$0")/lib.sh"

make_disk
mkfifo fifo
python3 - "$IMGFUSE" "$PWD/disk.qcow2" <<'END2'
import faulthandler, os, re, socket, subprocess, sys
faulthandler.dump_traceback_later(120, exit=True)
program, target = sys.argv[1:]

def is_mounted():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        return any(line.split()[4] == target for line in mounts)

def expect_refusal(option, fd, wanted, passed):
    for background in ([], ["-d"]):
        result = subprocess.run([program, *background, f"--{option}={fd}", target],
                                pass_fds=passed, capture_output=True, text=True, check=False)
        assert result.returncode == 1 and not result.stdout, (option, fd, result)
        assert re.fullmatch(f"imgfuse: --{option}={fd}: {wanted}\n", result.stderr), result.stderr
        assert not is_mounted()

for fd in range(3, 15):
    expect_refusal("watch-fd", fd, "Bad file descriptor", [])
    expect_refusal("ready-fd", fd, "Bad file descriptor", [])

null = os.open("/dev/null", os.O_RDWR)
expect_refusal("watch-fd", null, "is neither a pipe nor a socket nor a terminal", [null])
both = os.open("fifo", os.O_RDWR)
expect_refusal("watch-fd", both, "is both ends of a pipe, .*", [both])
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
expect_refusal("watch-fd", one.fileno(), "is a socket without a connection .*", [one.fileno()])
with socket.socket() as listener:
    listener.listen()
    expect_refusal("watch-fd", listener.fileno(), "is a socket without a connection .*",
                   [listener.fileno()])
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
other.close()
expect_refusal("watch-fd", one.fileno(), "its other end is closed already", [one.fileno()])
read_end, write_end = os.pipe()
os.write(write_end, b"of no interest")
os.close(write_end)
expect_refusal("watch-fd", read_end, "its other end is closed already", [read_end])

# An empty message.
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
process = subprocess.Popen([program, f"--watch-fd={one.fileno()}", target],
                           pass_fds=[one.fileno()], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
try:
    one.close()
    process.stdout.readline()
    other.send(b"")
    # When the end of the helper was seen, so was what came before.
    helper = subprocess.run(["pgrep", "-P", str(process.pid), "-x", "imgfuse-helper"], check=True,
                            capture_output=True).stdout
    os.kill(int(helper), 9)
    assert b"the helper was killed" in process.stderr.readline()
    with open(target, "rb") as disk:
        disk.read(1)
    assert is_mounted(), "it ends"
    other.close()
    assert process.wait() == 0
finally:
    process.terminate()
    process.wait()
assert not is_mounted()

END2

# The other end is closed before the export is usable.
mkfifo gate watched
"${gated[@]}" "$IMGFUSE" --watch-fd=9 disk.qcow2 >said 2>&1 9< <(exec cat watched) &
server=$!
processes+=("$server")
exec 8<gate 7>watched # it is about to mount
exec 7>&-
log=said wait_for_log 'watch-fd was closed before the export was usable'
exec 8<&-
expect_server_exit 1
expect_not_mounted disk.qcow2
expect_clean_check disk.qcow2
