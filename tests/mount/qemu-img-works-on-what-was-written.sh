#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Images of every kind that were written through an export are good for all that qemu-img does:
# convert, snapshots, rebase, commit, resize, amend and check.
. "$(dirname "$0")/lib.sh"

# change FILE SEED: random writes, zeroes and holes, the same for the same seed.
change()
{
	python3 - "$1" "$2" <<'END'
import ctypes, os, random, sys
libc = ctypes.CDLL(None, use_errno=True)
r = random.Random(sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
for _ in range(60):
    offset = r.randrange(size)
    length = min(size - offset, r.choice([1, 512, 4096, 70000, 300000]))
    kind = r.randrange(4)
    if kind < 2:
        os.pwrite(fd, r.randbytes(length), offset)
    elif libc.fallocate(fd, 3 if kind == 2 else 16, ctypes.c_long(offset), ctypes.c_long(length)):
        os.pwrite(fd, bytes(length), offset)
os.fsync(fd)
os.close(fd)
END
}

# export_and_change IMAGE SEED: the same to the image and to the plain file "content".
export_and_change()
{
	start_export "$1"
	change "$1" "$2"
	stop_export INT
	change content "$2"
	expect_clean_check "$1"
	expect_content "$1" content
}

pattern base.raw $((6 << 20))
qemu-img convert -f raw -O qcow2 base.raw base.qcow2

for options in compat=0.10 compat=0.10,cluster_size=512 compat=1.1,cluster_size=2M \
	compat=1.1,refcount_bits=64 compat=1.1,refcount_bits=2,cluster_size=4k \
	compat=1.1,lazy_refcounts=on compat=1.1,extended_l2=on compat=1.1,compression_type=zstd \
	compat=1.1,preallocation=metadata compat=1.1,preallocation=full compressed compressed,zstd \
	compat=1.1,data_file=data.raw compat=1.1,data_file=data.raw,data_file_raw=on; do
	rm -f disk.qcow2 data.raw
	cp base.raw content
	case $options in
	compressed) qemu-img convert -c -f raw -O qcow2 base.raw disk.qcow2 ;;
	compressed,zstd) qemu-img convert -c -f raw -O qcow2 -o compression_type=zstd base.raw disk.qcow2 ;;
	*) qemu-img convert -f raw -O qcow2 -o "$options" base.raw disk.qcow2 ;;
	esac
	export_and_change disk.qcow2 "$options"
	qemu-img convert -O raw disk.qcow2 seen
	cmp seen content
	qemu-img resize -q disk.qcow2 8M
	truncate -s 8M content
	export_and_change disk.qcow2 "resized $options"
	case $options in
	*data_file_raw*) cmp -n "$(size_of content)" data.raw content && continue ;;
	*data_file*) continue ;; # no internal snapshots, no amending
	esac
	cp content before
	qemu-img snapshot -c one disk.qcow2
	export_and_change disk.qcow2 "over a snapshot $options"
	qemu-img convert -l one -O raw disk.qcow2 seen
	cmp seen before
	qemu-img snapshot -a one disk.qcow2
	cp before content
	export_and_change disk.qcow2 "applied $options"
	qemu-img snapshot -d one disk.qcow2
	expect_clean_check disk.qcow2
	expect_content disk.qcow2 content
	if [[ $options = *compat=0.10* ]]; then
		qemu-img amend -f qcow2 -o compat=1.1 disk.qcow2
	else
		qemu-img amend -f qcow2 -o lazy_refcounts=on disk.qcow2
	fi
	export_and_change disk.qcow2 "in the end $options"
done

# Overlays: what was written is committed, and rebased to another backing file.
for options in compat=0.10 compat=1.1 compat=1.1,extended_l2=on; do
	cp base.raw content
	cp base.qcow2 lower.qcow2
	qemu-img create -q -f qcow2 -o "$options" -b lower.qcow2 -F qcow2 overlay.qcow2
	export_and_change overlay.qcow2 "$options"
	qemu-img rebase -b base.raw -F raw overlay.qcow2
	expect_content overlay.qcow2 content
	export_and_change overlay.qcow2 "rebased $options"
	qemu-img rebase -b lower.qcow2 -F qcow2 overlay.qcow2
	qemu-img commit -q overlay.qcow2
	expect_clean_check lower.qcow2
	expect_content lower.qcow2 content
	rm overlay.qcow2
done

# QCOW version 1 is never written.
qemu-img convert -f raw -O qcow base.raw disk.qcow
cp disk.qcow before
start_export disk.qcow
wait_for_log "disk.qcow: .*read-only"
cmp disk.qcow base.raw
expect_some_failure dd if=/dev/zero of=disk.qcow count=1 conv=notrunc status=none
stop_export INT
cmp disk.qcow before
