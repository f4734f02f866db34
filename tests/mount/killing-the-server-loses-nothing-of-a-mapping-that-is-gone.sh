#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A mapping may be stored to after the last close(), of which nobody hears then. When it is gone, and
# the export with it out of use, killing the server loses none of that.
. "$(dirname "$0")/lib.sh"

make_disk
for cache in writeback writethrough; do
	cp disk.qcow2 image
	cp plain.raw wanted
	start_export --cache=$cache image
	serving_process=$(serving_process) python3 - <<'END'
import faulthandler, mmap, os, signal

faulthandler.dump_traceback_later(120, exit=True)
looker = os.open("image", os.O_RDONLY)

def is_open_for_writing():
    # All counts as data then.
    return os.lseek(looker, 0, os.SEEK_HOLE) == 16 << 20

wanted = open("wanted", "r+b")
fd = os.open("image", os.O_RDWR)
memory = mmap.mmap(fd, 0)
# Python keeps a descriptor of its own with a mapping.
for name in os.listdir("/proc/self/fd"):
    try:
        if int(name) != looker and os.path.samestat(os.fstat(int(name)), os.fstat(looker)):
            os.close(int(name))
    except OSError:
        pass # that of the directory which is listed
assert is_open_for_writing()
for at in range(2 << 20, 14 << 20, 1 << 20):
    memory[at:at + 5] = b"later"
    wanted.seek(at)
    wanted.write(b"later")
wanted.close()
memory.close()
# Nobody waits for the kernel to tell of that: see it come.
while is_open_for_writing():
    os.sched_yield()
os.kill(int(os.environ["serving_process"]), signal.SIGKILL)
END
	expect_server_exit 1
	expect_not_mounted image
	expect_content image wanted
	expect_no_errors image
done
