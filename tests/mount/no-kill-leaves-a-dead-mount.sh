#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Whichever of its processes is killed, and at whatever moment of the beginning: the export ends
# without help, with nothing mounted, no pid file, no process, and nobody waits for ever. Without
# the helper it goes on, and also without the supervisor and the helper, until somebody unmounts.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
python3 - "$IMGFUSE" "$PWD/mountpoint" "${ATTEMPTS:-150}" <<'END'
import faulthandler, os, random, select, signal, subprocess, sys
faulthandler.dump_traceback_later(120, exit=True)
program, target = sys.argv[1:3]
seed = random.randrange(1 << 32)
random.seed(seed)
print("seed", seed)

def is_mounted(mounts):
    mounts.seek(0)
    return any(line.split()[4] == target for line in mounts)

def children(pid):
    """The processes of the export by their names, with what becomes readable at their end."""
    found = {}
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            for child in map(int, file.read().split()):
                with open(f"/proc/{child}/comm", encoding="ascii") as name:
                    found[name.read().strip()] = (child, os.pidfd_open(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found

def wait_for_mount(mounts, process):
    changes = select.poll()
    changes.register(mounts, select.POLLPRI | select.POLLERR)
    while not is_mounted(mounts):
        changes.poll(1000)
        assert process.poll() is None, "the export ended by itself"

for attempt in range(int(sys.argv[3])):
    victim = random.choice(["supervisor", "server", "helper", "two", "all but the server"])
    supervisor = subprocess.Popen([program, "-p", "pidfile", "disk.qcow2", "mountpoint"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        wait_for_mount(mounts, supervisor)
        if attempt % 2:
            supervisor.stdout.readline()
        for _ in range(random.randrange(3000)):
            pass  # the moment differs
        others = children(supervisor.pid)
        server = others["imgfuse-server"]
        helper = others.get("imgfuse-helper")
        if victim == "two" and not helper:
            victim = "server"  # else there is nobody left
        if victim in ("server", "two"):
            os.kill(server[0], signal.SIGKILL)
        if victim in ("supervisor", "two"):
            supervisor.kill()
        if victim == "all but the server":
            # At once: else the helper unmounts, or is replaced.
            pids = [supervisor.pid, *([helper[0]] if helper else [])]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    os.kill(pid, number)
            supervisor.wait()
            if attempt % 2:
                subprocess.run(["dd", "if=mountpoint", "of=/dev/null", "count=1"], check=True,
                               stderr=subprocess.DEVNULL)
            if is_mounted(mounts):
                subprocess.run(["fusermount3", "-uz", target], check=False,
                               stderr=subprocess.DEVNULL)
            if os.path.exists("pidfile"):
                os.unlink("pidfile")
        if victim == "helper":
            if helper:
                os.kill(helper[0], signal.SIGKILL)
            subprocess.run(["dd", "if=mountpoint", "of=/dev/null", "count=1"], check=True,
                           stderr=subprocess.DEVNULL)
            supervisor.terminate()
        # The heir of the supervisor has both ends of the standard error, and of nothing else.
        for name, (pid, end) in others.items():
            assert select.select([end], [], [], 60)[0], f"{attempt}: {victim}: {name} hangs"
            os.close(end)
        status = supervisor.wait()
        # Whoever is the heir of the heir has it unmounted and unlinked the file before he ends.
        changes = select.poll()
        changes.register(mounts, select.POLLPRI | select.POLLERR)
        while is_mounted(mounts):
            assert changes.poll(60000), f"{attempt}: {victim}: still mounted"
    assert victim != "server" or status == 1, (victim, status)
    assert victim != "helper" or not attempt % 2 or status == 0, (victim, status)
    assert not os.path.exists("pidfile"), f"{attempt}: {victim}: the pid file is still there"
    supervisor.stdout.close()
subprocess.run(["qemu-img", "check", "-q", "disk.qcow2"], check=True)
END
