#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every way to end an export, in every state that it can be in: nobody uses it, somebody writes all
# the time, has written and not synced, has a dirty mapping, has a loop device over it. Who uses it
# goes on until he is done; then all that he has written is in the image, nothing is mounted, no
# process is left, and the status is 0.
. "$(dirname "$0")/lib.sh"

loop_state=
if [ "$(id -u)" -eq 0 ] && losetup -f >/dev/null 2>&1; then
	loop_state=loop
fi
python3 - "$IMGFUSE" $loop_state <<'END'
import contextlib, faulthandler, fcntl, mmap, os, select, signal, subprocess, sys, termios, threading
faulthandler.dump_traceback_later(160, exit=True)
program = sys.argv[1]
target = os.path.realpath("disk.qcow2")
SIZE = 16 << 20
BLOCK = 1 << 16

def is_mounted():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        return any(line.split()[4] == target for line in mounts)

def wait_until_unmounted():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        changes = select.poll()
        changes.register(mounts, select.POLLPRI | select.POLLERR)
        while any(line.split()[4] == target for line in mounts):
            assert changes.poll(60000), "still mounted"
            mounts.seek(0)

class State:
    """Somebody who uses the export, or has. before() the ending and after() it he writes."""
    busy = True

    def __init__(self, model):
        self.model = model

    def block(self, number):
        self.model[number * BLOCK:(number + 1) * BLOCK] = bytes([number + 1]) * BLOCK
        return bytes([number + 1]) * BLOCK

class Idle(State):
    busy = False

    def before(self):
        with open(target, "r+b") as disk:
            disk.write(self.block(0))

    def after(self):
        pass

class Handle(State):
    def open(self):
        return os.open(target, os.O_RDWR)

    def before(self):
        self.fd = self.open()
        os.pwrite(self.fd, self.block(3), 3 * BLOCK)

    def after(self):
        os.pwrite(self.fd, self.block(4), 4 * BLOCK)
        os.close(self.fd)

class Mapping(State):
    def before(self):
        with open(target, "r+b") as disk:
            self.map = mmap.mmap(disk.fileno(), SIZE)
        self.map[5 * BLOCK:6 * BLOCK] = self.block(5)

    def after(self):
        self.map[6 * BLOCK:7 * BLOCK] = self.block(6)
        self.map.close()

class Load(State):
    def before(self):
        self.fd = os.open(target, os.O_RDWR)
        self.enough = threading.Event()
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.begun.wait()

    def run(self):
        number = 0
        while not self.enough.is_set():
            number = number % 200 + 1
            os.pwrite(self.fd, self.block(number), number * BLOCK)
            if number % 16 == 0:
                os.fsync(self.fd)
                self.begun.set()

    def after(self):
        self.enough.set()
        self.thread.join()
        os.close(self.fd)

class Loop(Handle):
    def open(self):
        self.loop = subprocess.run(["losetup", "-f", "--show", target], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.strip()
        return os.open(self.loop, os.O_RDWR)

    def after(self):
        os.pwrite(self.fd, self.block(4), 4 * BLOCK)
        os.fsync(self.fd)
        os.close(self.fd)
        subprocess.run(["losetup", "-d", self.loop], check=True)

def take_terminal(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

class Export:
    def __init__(self):
        self.master, slave = os.openpty()
        self.process = subprocess.Popen([program, "-p", "pidfile", "disk.qcow2"],
                                        stdin=slave, stdout=subprocess.PIPE, stderr=slave,
                                        preexec_fn=lambda: take_terminal(slave))
        os.close(slave)
        assert self.process.stdout.readline(), "no export"
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            self.ends = [os.pidfd_open(int(child)) for child in file.read().split()]
        assert len(self.ends) == 2

    def wait(self):
        status = self.process.wait(60)
        for end in self.ends:
            assert select.select([end], [], [], 60)[0], "a process is left"
            os.close(end)
        self.process.stdout.close()
        if self.master >= 0:
            os.close(self.master)
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def stopped_signal(self):
        self.signal(signal.SIGSTOP)
        self.signal(signal.SIGTERM)
        with open(target, "rb") as disk:
            disk.read(4096)  # it is served all the same
        self.signal(signal.SIGCONT)

    def hang_up(self):
        os.close(self.master)
        self.master = -1

    def interrupt(self):
        os.write(self.master, b"\x03")

def run(*command):
    # By no means with a descriptor of the export.
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)

# How, whether it can be done while somebody uses it, and the status.
endings = {
    "SIGINT": (lambda export: export.signal(signal.SIGINT), True, 0),
    "SIGTERM": (lambda export: export.signal(signal.SIGTERM), True, 0),
    "SIGHUP": (lambda export: export.signal(signal.SIGHUP), True, 0),
    "SIGTERM while stopped": (Export.stopped_signal, True, 0),
    "SIGKILL": (lambda export: export.signal(signal.SIGKILL), True, -9),
    "^C": (Export.interrupt, True, 0),
    "the terminal closes": (Export.hang_up, True, 0),
    "fusermount3 -u": (lambda export: run("fusermount3", "-u", target), False, 0),
    "fusermount3 -uz": (lambda export: run("fusermount3", "-uz", target), True, 0),
    "imgfuse -u": (lambda export: run(program, "-u", target), False, 0),
    "imgfuse -u --lazy": (lambda export: run(program, "-u", "--lazy", target), True, 0),
}

states = [Idle, Handle, Mapping, Load] + ([Loop] if "loop" in sys.argv[2:] else [])
for state_type in states:
    for name, (end, lazy, wanted) in endings.items():
        if state_type.busy and not lazy:
            continue
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", str(SIZE)],
                       check=True)
        model = bytearray(SIZE)
        export = Export()
        user = state_type(model)
        try:
            user.before()
            command = end(export)
            wait_until_unmounted()
            user.after()
            status = export.wait()
            assert status == wanted, status
            assert command is None or command.wait(60) == 0
            assert not is_mounted()
            assert not os.path.exists("pidfile"), "the pid file is left"
            with open("model", "wb") as file:
                file.write(model)
            subprocess.run(["qemu-img", "check", "-q", "disk.qcow2"], check=True)
            subprocess.run(["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", "disk.qcow2",
                            "model"], check=True)
        except BaseException:
            print(f"FAILED: {name}, {state_type.__name__}", file=sys.stderr)
            with contextlib.suppress(OSError):
                export.process.kill()
            raise
END
