#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the background messages go to the system's log, under our name and with the process id; where that
# hangs, the export goes on and ends nevertheless. /dev is one of our own, in a mount namespace.
. "$(dirname "$0")/lib.sh"
requires_root
requires unshare

if [ "${1:-}" != inside ]; then
	mkdir inside
	unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
	status=0
	TMPDIR=$scratch/inside unshare -m "$test_script" inside || status=$?
	exit $status
fi

mkdir devices
mount -t tmpfs none devices
for device in fuse null zero; do
	: >devices/$device
	mount --bind /dev/$device devices/$device
done
mount --rbind devices /dev
make_disk
python3 - "$IMGFUSE" "$PWD/disk.qcow2" <<'END2'
import faulthandler, os, re, select, signal, socket, subprocess, sys
faulthandler.dump_traceback_later(100, exit=True)
program, target = sys.argv[1:]
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")

def start():
    subprocess.run([program, "-dv", "-p", "pidfile", target], check=True)
    with open("pidfile", encoding="ascii") as file:
        return int(file.read())

def end(pid):
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    assert select.select([process], [], [], 60)[0], "it does not end"

pid = start()
end(pid)
said = []
while select.select([log], [], [], 0)[0]:
    said.append(log.recv(10000).decode())
for line in said:
    assert re.fullmatch(r"<30>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} imgfuse\[\d+\]: .+", line), line
assert any(f"imgfuse[{pid}]: {target}: got SIGTERM" in line for line in said), said

client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.setblocking(False)
try:
    while True:
        client.sendto(b"x", "/dev/log")
except BlockingIOError:
    pass
end(start())
END2
expect_clean_check disk.qcow2
umount -l /dev
umount -l devices
