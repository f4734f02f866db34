#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Without any privilege: export an own image in place, read and write it, and end it with a
# signal, with fusermount3 -u and with imgfuse -u.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
become_users_directory
for how in signal fusermount3 imgfuse; do
	for cache in writeback writethrough none; do
		start_export_as_user --cache=$cache disk.qcow2
		as_user cmp disk.qcow2 plain.raw
		as_user dd if=block of=disk.qcow2 bs=1M seek=5 conv=notrunc status=none
		as_user truncate -s 16M disk.qcow2
		as_user fallocate -p -o 1M -l 64K disk.qcow2
		as_user touch disk.qcow2
		case $how in
		signal) kill -INT "$server" ;;
		fusermount3) as_user fusermount3 -u disk.qcow2 ;;
		imgfuse) as_user "$IMGFUSE" -u disk.qcow2 ;;
		esac
		expect_server_exit 0
		expect_not_mounted disk.qcow2
		dd if=block of=plain.raw bs=1M seek=5 conv=notrunc status=none
		fallocate -p -o 1M -l 64K plain.raw
		as_user qemu-img compare -q disk.qcow2 plain.raw
		expect_clean_check disk.qcow2
		as_user python3 -c 'open("block", "r+b").write(b"another")'
	done
done

# In the background, with a relative pid file.
as_user "$IMGFUSE" -dp pidfile disk.qcow2
server=$(cat pidfile)
processes+=("$server")
as_user cmp disk.qcow2 plain.raw
as_user kill -TERM "$server"
wait_for_exit "$server"
[ ! -e pidfile ] || fail "the pid file is still there"
expect_not_mounted disk.qcow2
