#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An ordinary user mounts, over an export of root's, a file system that calls itself one of ours, and
# whose server says that all is well, or nothing at all. imgfuse -u says that it takes it away, and
# ends the export below.
. "$(dirname "$0")/lib.sh"
requires_root

make_disk
become_users_directory
chmod 666 disk.qcow2
for silence in "" getattr; do
for options in subtype=imgfuse,fsname=imgfuse:hostile subtype=sshfs; do
	export FUSE_OPTIONS=$options
	start_export disk.qcow2
	serving=$server
	printf written | dd of=disk.qcow2 conv=notrunc status=none
	start_hostile_server "$PWD/disk.qcow2" $silence
	"$IMGFUSE" -u disk.qcow2 2>said || fail "it ended with $?, saying: $(cat said)"
	expect_match "what it said" "$(cat said)" \
		"disk.qcow2: removed a mount .*user with the id 65534.* over"
	expect_not_mounted disk.qcow2
	server=$serving expect_server_exit 0
	printf written | dd of=plain.raw conv=notrunc status=none
	expect_content disk.qcow2 plain.raw
	expect_clean_check disk.qcow2
done
done
