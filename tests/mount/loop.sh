# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# A file system on a loop device over an exported qcow2 image, for the tests of each kind of it:
# made, filled, changed, trimmed and checked; the image shrinks when files go.

# try_file_system TYPE SIZE CHECK-COMMAND...: the last word of the check is added here.
try_file_system()
{
	local type=$1 size=$2 full trimmed round

	shift 2
	qemu-img create -q -f qcow2 disk.qcow2 "$size"
	mkdir mountpoint
	start_export disk.qcow2
	attach_loop disk.qcow2
	# shellcheck disable=SC2154 # attach_loop sets it
	"mkfs.$type" -q "$loop"
	mount -t "$type" "$loop" mountpoint

	# Something like a source tree: many small files, some larger ones.
	python3 - mountpoint/tree <<'END'
import os, random, sys
rng = random.Random(7)
for directory in range(20):
    path = os.path.join(sys.argv[1], f"directory-{directory}")
    os.makedirs(path)
    for name in range(40):
        with open(os.path.join(path, f"file-{name}.c"), "wb") as f:
            f.write(rng.randbytes(rng.choice([100, 3000, 20000, 200000])))
END
	cp -a mountpoint/tree tree
	sync -f mountpoint
	for round in 1 2; do
		pattern "mountpoint/large-$round" $((20 << 20)) "$round"
	done
	rm -r mountpoint/tree/directory-3
	rm -r tree/directory-3
	diff -r tree mountpoint/tree
	sync -f mountpoint
	full=$(space_of disk.qcow2)
	rm mountpoint/large-*
	# Some free what was deleted in the background; none after this.
	umount mountpoint
	mount -t "$type" "$loop" mountpoint
	fstrim mountpoint
	umount mountpoint
	"$@" "$loop" >check 2>&1 || fail "$*: $(cat check)"
	detach_loop "$loop"
	stop_export

	expect_clean_check disk.qcow2
	trimmed=$(space_of disk.qcow2)
	[ "$trimmed" -le $((full - (32 << 20))) ] ||
		fail "of $full bytes $trimmed are left after 40 MiB were deleted and trimmed"

	# And once more, as somebody finds it the next day.
	start_export disk.qcow2
	attach_loop disk.qcow2
	"$@" "$loop" >check 2>&1 || fail "$*: $(cat check)"
	mount -t "$type" -o ro "$loop" mountpoint
	diff -r tree mountpoint/tree
	umount mountpoint
	detach_loop "$loop"
	stop_export
	expect_clean_check disk.qcow2
}
