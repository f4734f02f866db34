#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where there is no room for the process id there is no pid file, and no export; a symbolic link is
# none either, and called what it is. And a lock that a reader has on it keeps nobody from cleaning up.
. "$(dirname "$0")/lib.sh"

make_disk
ln -s elsewhere link
expect_failure 1 "link: is a symbolic link" "$IMGFUSE" -d -p link disk.qcow2
[ ! -e elsewhere ] || fail "the link was followed"

# It ends though there is a lock on the file, which anybody can have who may read it.
start_export --pidfile "$PWD/pidfile" disk.qcow2
helper=$(helper_process)
processes+=("$helper")
mkfifo locked
python3 - >locked <<'END2' &
import faulthandler, fcntl, os, signal, struct
faulthandler.dump_traceback_later(100, exit=True)
F_OFD_SETLKW = 38
fd = os.open("pidfile", os.O_RDONLY)
print("waits", flush=True)
fcntl.fcntl(fd, F_OFD_SETLKW, struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
print("has it", flush=True)
signal.pause()
END2
locker=$!
processes+=("$locker")
exec 8<locked
read -r _ <&8
kill -STOP "$helper"
kill -KILL "$server"
expect_server_exit 137
read -r _ <&8
kill -CONT "$helper"
wait_for_exit "$helper" || fail "the helper waits for the lock"
expect_not_mounted disk.qcow2
[ ! -e pidfile ] || fail "the pid file is still there"
kill -KILL "$locker"

requires_root # to make a file system that is full
mkdir full
mount -t tmpfs -o size=4k,nr_inodes=100 none full
head -c 4096 /dev/zero >full/all
expect_failure 1 "full/pidfile: cannot be written: No space left" \
	"$IMGFUSE" -d -p full/pidfile disk.qcow2
[ ! -e full/pidfile ] || fail "there is a pid file"
expect_not_mounted disk.qcow2
