# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the mount tests share. A test is a bash script whose name is the fact that it shows; it
# begins with
#
#	. "$(dirname "$0")/lib.sh"
#	requires TOOL...
#
# and works in a directory of its own, which is the current one. It ends at the first command
# that fails, and whatever it started, mounted or attached is gone when it ends, however it
# ends. It waits for events (a line from the daemon, the end of a process), never for time.
#
# IMGFUSE names the program under test.

set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL=C

: "${IMGFUSE:?names the program under test}"
IMGFUSE=$(realpath "$IMGFUSE")
# shellcheck disable=SC2034 # for the tests
test_script=$(realpath "$0")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/imgfuse-test.XXXXXX")
export IMGFUSE_TEST=$scratch # tells our processes from others
processes=()                 # pids that are ours to kill
loops=()                     # loop devices that are ours to detach

fail()
{
	printf 'FAILED: %s\n' "$*" >&2
	show_logs
	exit 1
}

# A skip says why: its last line is shown.
skip()
{
	printf '%s\n' "$*"
	exit 77
}

show_logs()
{
	local log

	for log in "$scratch"/log.*; do
		[ ! -s "$log" ] || sed 's/^/  imgfuse said: /' "$log" >&2
	done
}

# ---- cleaning up ----

# Mount points below the scratch directory, the latest first.
our_mounts()
{
	local line target

	while read -r line; do
		# The fifth word; blanks and the like in it are octal escapes.
		target=$(printf '%b' "$(cut -d ' ' -f 5 <<<"$line" | sed 's/\\\([0-7]\)/\\0\1/g')")
		[[ $target != "$scratch"/* ]] || printf '%s\n' "$target"
	done </proc/self/mountinfo | tac
}

unmount_lazily()
{
	umount -l "$1" 2>/dev/null || fusermount3 -uz "$1" 2>/dev/null || :
}

# What the test itself has open keeps exports in use. 255 is bash's own.
close_descriptors()
{
	local fd

	for fd in "/proc/$BASHPID/fd"/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || [ "$fd" -eq 255 ] || exec {fd}>&-
	done
}

# Is this still a process that the test has started? Its number may be somebody else's by now.
is_ours()
{
	grep -qzxF "IMGFUSE_TEST=$IMGFUSE_TEST" "/proc/$1/environ" 2>/dev/null
}

clean_up()
{
	local status=$? pid loop target

	trap - EXIT ERR
	set +e
	cd /
	close_descriptors
	for loop in ${loops[@]+"${loops[@]}"}; do
		findmnt -n -o TARGET -S "$loop" | while read -r target; do
			umount "$target" 2>/dev/null || umount -l "$target"
		done
		losetup -d "$loop" 2>/dev/null
	done
	for pid in ${processes[@]+"${processes[@]}"}; do
		is_ours "$pid" || continue
		kill -CONT "$pid" 2>/dev/null
		kill -TERM "$pid" 2>/dev/null
	done
	our_mounts | while IFS= read -r target; do
		umount "$target" 2>/dev/null || unmount_lazily "$target"
	done
	for pid in ${processes[@]+"${processes[@]}"}; do
		# What does not end now, with nothing mounted and all descriptors closed, hangs.
		! is_ours "$pid" || wait_for_exit "$pid" 10 || kill -KILL "$pid" 2>/dev/null
	done
	our_mounts | while IFS= read -r target; do unmount_lazily "$target"; done
	[ -n "$(our_mounts)" ] || rm -rf --one-file-system "$scratch"
	exit "$status"
}

on_error()
{
	printf 'FAILED: %s: %s\n' "$1" "$2" >&2
	show_logs
}

set -E
trap clean_up EXIT
trap 'on_error "${BASH_SOURCE[0]##*/}:$LINENO" "$BASH_COMMAND"' ERR
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- what a test needs ----

requires()
{
	local tool

	for tool; do
		command -v "$tool" >/dev/null || skip "$tool is not there"
	done
}

requires_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

requires_loop_devices()
{
	requires_root
	requires losetup
	losetup -f >/dev/null 2>&1 || skip "there are no loop devices"
}

# A file system that the kernel knows.
requires_kernel_fs()
{
	grep -qw "$1" /proc/filesystems || modprobe -q "$1" 2>/dev/null ||
		skip "the kernel has no $1"
}

requires python3 pgrep fusermount3 findmnt qemu-img qemu-io
[ -e /dev/fuse ] || skip "there is no /dev/fuse"
if [ "$(id -u)" -eq 0 ]; then
	# As distributions have it. Some machines keep it from users until fuse3 is installed.
	[ "$(stat -c %a /dev/fuse)" = 666 ] || chmod 666 /dev/fuse
fi
if ! [ -r /dev/fuse ] || ! [ -w /dev/fuse ]; then
	skip "/dev/fuse is not ours to open"
fi

# ---- comparing ----

expect_equal() # WHAT ACTUAL EXPECTED
{
	[ "$2" = "$3" ] || fail "$1: is '$2', should be '$3'"
}

expect_match() # WHAT TEXT REGEX
{
	grep -qE -- "$3" <<<"$2" || fail "$1: '$2' does not match '$3'"
}

# expect_failure STATUS REGEX COMMAND...: the command ends with that status, saying one line,
# which matches, and nothing on its standard output.
expect_failure()
{
	local status=0 wanted=$1 regex=$2

	shift 2
	"$@" >"$scratch/failure.out" 2>"$scratch/failure" </dev/null || status=$?
	[ "$status" -eq "$wanted" ] ||
		fail "'$*' ended with $status, not $wanted, saying: $(cat "$scratch/failure")"
	[ "$(wc -l <"$scratch/failure")" -eq 1 ] ||
		fail "'$*' said more or less than one line: $(cat "$scratch/failure")"
	[ ! -s "$scratch/failure.out" ] || fail "'$*' wrote to its standard output"
	expect_match "what '$*' said" "$(cat "$scratch/failure")" "$regex"
}

# The command fails, however it does.
expect_some_failure()
{
	if "$@" >"$scratch/failure" 2>&1 </dev/null; then
		fail "'$*' succeeded: $(cat "$scratch/failure")"
	fi
}

is_mounted()
{
	findmnt -n -M "$1" >/dev/null
}

expect_mounted()
{
	is_mounted "$1" || fail "nothing is mounted at $1"
}

expect_not_mounted()
{
	! is_mounted "$1" || fail "something is still mounted at $1"
}

size_of()
{
	stat -c %s "$1"
}

# The bytes that a file takes on its file system. The kernel may know an older number.
space_of()
{
	echo $(($(stat --cached=never -c %b "$1") * 512))
}

# The format of an image, as qemu-img detects it. -U: also where somebody has it open.
format_of()
{
	qemu-img info -U --output=json "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["format"])'
}

# qemu-img finds no errors; and no leaks, unless told "leaks-allowed".
expect_clean_check() # IMAGE
{
	qemu-img check -q "$1" >"$scratch/check" 2>&1 ||
		fail "qemu-img check $1: $(qemu-img check "$1" 2>&1)"
}

# The same, but clusters may be leaked.
expect_no_errors() # IMAGE
{
	local status=0

	qemu-img check -q "$1" >"$scratch/check" 2>&1 || status=$?
	[ $status -eq 0 ] || [ $status -eq 3 ] || fail "qemu-img check $1: $(cat "$scratch/check")"
}

# The guest's bytes of an image, as QEMU sees them, are those of a raw file.
expect_content() # IMAGE RAW-FILE
{
	qemu-img compare -q -U "$1" "$2" ||
		fail "$1 does not hold what $2 does: $(qemu-img compare -U "$1" "$2" 2>&1)"
}

# ---- making images ----

# pattern FILE SIZE [SEED]: bytes that repeat nowhere soon, the same for the same seed.
pattern()
{
	python3 - "$@" <<'END'
import random, sys
size, seed = int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "1"
with open(sys.argv[1], "wb") as f:
    f.write(random.Random(seed).randbytes(size))
END
}

# A qcow2 image disk.qcow2 and its content in plain.raw: data, a hole in the middle, data.
# make_disk [QEMU-IMG-CREATE-OPTION...]
make_disk()
{
	pattern head $((1 << 20)) head
	pattern tail $((1 << 20)) tail
	truncate -s 16M plain.raw
	dd if=head of=plain.raw bs=1M conv=notrunc status=none
	dd if=tail of=plain.raw bs=1M seek=15 conv=notrunc status=none
	rm head tail
	qemu-img convert -f raw -O qcow2 ${@+"$@"} plain.raw disk.qcow2
}

# ---- exports ----

# start_export [OPTION...] IMAGE [MOUNTPOINT]: in the foreground of a background job, as in a
# script. Returns when the daemon says that the export is usable. Sets
#   server     its pid, the supervisor's, a child of ours
#   readiness  the line that it said
#   log        what else it says
# and fails if it does not come that far.
start_export()
{
	launch "$IMGFUSE" "$@"
}

# The same as an ordinary user, see as_user.
start_export_as_user()
{
	launch ${user[@]+"${user[@]}"} "$IMGFUSE" "$@"
}

# The same with the whole command line, of a program that becomes imgfuse.
launch()
{
	local pipe=$scratch/pipe.${#processes[@]}

	log=$scratch/log.${#processes[@]}
	mkfifo "$pipe"
	"$@" >"$pipe" 2>"$log" </dev/null &
	server=$!
	processes+=("$server")
	# Stays open, so that the daemon can go on saying things.
	exec {standard_output}<"$pipe"
	rm "$pipe"
	# End of file: it is gone, and the log says why.
	# shellcheck disable=SC2034 # for the tests
	IFS= read -r -t 60 readiness <&"$standard_output" || fail "no export: $*"
}

# start_daemon [OPTION...] IMAGE [MOUNTPOINT]: with --daemonize. Sets server to the pid in the pid
# file, which is not a child of ours.
start_daemon()
{
	log=$scratch/log.${#processes[@]}
	"$IMGFUSE" --daemonize --pidfile "$scratch/pidfile" "$@" >"$log" 2>&1 </dev/null ||
		fail "no export: $*"
	server=$(cat "$scratch/pidfile")
	processes+=("$server")
}

# The processes behind the supervisor, whose pid is $server: the one that has the image, and the one
# that unmounts.
serving_process()
{
	pgrep -P "$server" -x imgfuse-server
}

helper_process()
{
	pgrep -P "$server" -x imgfuse-helper
}

# wait_for_exit PID [SECONDS]: wait until a process is gone that need not be a child of ours.
wait_for_exit()
{
	python3 - "$1" "${2:-60}" <<'END'
import os, select, sys
try:
    fd = os.pidfd_open(int(sys.argv[1]))
except ProcessLookupError:
    sys.exit(0)
sys.exit(0 if select.select([fd], [], [], float(sys.argv[2]))[0] else 1)
END
}

forget_process()
{
	local pid left=()

	for pid in "${processes[@]}"; do
		[ "$pid" = "$1" ] || left+=("$pid")
	done
	processes=(${left[@]+"${left[@]}"})
}

# The server ends by itself, with the given status (0).
expect_server_exit()
{
	local status=0

	wait_for_exit "$server" || fail "the daemon does not end"
	wait "$server" || status=$?
	forget_process "$server"
	[ "$status" -eq "${1:-0}" ] || fail "the daemon ended with status $status, not ${1:-0}"
}

# stop_export [SIGNAL]: end it, and see that it ends well.
stop_export()
{
	kill -s "${1:-INT}" "$server"
	expect_server_exit 0
}

# The daemon says something that matches, sooner or later.
wait_for_log()
{
	: >>"$log" # whoever writes to it may only just be starting
	grep -qE -m 1 -- "$1" < <(exec timeout 60 tail -n +1 -f "$log" 2>/dev/null) ||
		fail "the daemon never said '$1'"
}

# ---- other users ----

# What stands before a command that an ordinary user runs, who owns the current directory. Root
# becomes nobody.
user=()
if [ "$(id -u)" -eq 0 ]; then
	user=(setpriv --reuid=65534 --regid=65534 --clear-groups -- env "HOME=$scratch" USER=nobody)
fi

as_user() # COMMAND...
{
	${user[@]+"${user[@]}"} "$@"
}

# Give everything in the current directory to that user, who can also run the program.
become_users_directory()
{
	cp "$IMGFUSE" "$scratch/imgfuse"
	IMGFUSE=$scratch/imgfuse
	if [ "$(id -u)" -eq 0 ]; then
		requires setpriv
		chown -R 65534:65534 "$scratch"
	fi
}

# start_hostile_server MOUNTPOINT [SILENCE | PID | PID:FD]: one of that user's, see
# hostile-server.c. Sets hostile to its pid.
start_hostile_server()
{
	[ -e "$scratch/hostile-server" ] || cp "${HOSTILE_SERVER:?}" "$scratch/hostile-server"
	launch ${user[@]+"${user[@]}"} "$scratch/hostile-server" "$@"
	# shellcheck disable=SC2034 # for the tests
	hostile=$server
}

# ---- what comes in between ----

# What stands before a command that waits before it mounts, see mount-gate.c: it has come that far
# when somebody can open the FIFO "gate" of the current directory for reading, and goes on when that
# is closed. (A sanitizer's library wants to be the first that is loaded.)
# shellcheck disable=SC2034 # for the tests
gated=(env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"
	"LD_PRELOAD=${MOUNT_GATE_LIBRARY:-}" "MOUNT_GATE=$scratch/gate")

# The same for one that waits before it unmounts.
# shellcheck disable=SC2034 # for the tests
unmount_gated=(env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"
	"LD_PRELOAD=${MOUNT_GATE_LIBRARY:-}" "UNMOUNT_GATE=$scratch/gate")

# The same for one whose clock is ahead by what the file "skip" says, see clock-skip.c.
# shellcheck disable=SC2034 # for the tests
clock_skipped=(env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"
	"LD_PRELOAD=${CLOCK_SKIP_LIBRARY:-}" "CLOCK_SKIP=$scratch/skip")

# The same for one whose syncs fail while the file "fault" has a 1, and wait while it has a w, see
# sync-fault.c.
# shellcheck disable=SC2034 # for the tests
faulty=(env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"
	"LD_PRELOAD=${SYNC_FAULT_LIBRARY:-}" "SYNC_FAULT=$scratch/fault")

# ---- loop devices ----

# attach_loop FILE: sets loop to a new loop device over it.
attach_loop()
{
	loop=$(losetup -f --show "$1")
	loops+=("$loop")
}

# Once detached it may be somebody else's, so it is forgotten.
detach_loop()
{
	local other left=()

	losetup -d "$1"
	for other in "${loops[@]}"; do
		[ "$other" = "$1" ] || left+=("$other")
	done
	loops=(${left[@]+"${left[@]}"})
}

cd "$scratch"
