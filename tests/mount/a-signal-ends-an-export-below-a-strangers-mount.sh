#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An ordinary user has mounted over an export of root's, lets nobody else in, and has a file open
# there: a signal ends the export all the same, and it says what it has taken away. It also ends
# where he has mounted over the directory.
. "$(dirname "$0")/lib.sh"
requires_root

make_disk
become_users_directory
chmod 666 disk.qcow2
as_user mkfifo fifo
start_export disk.qcow2
export=$server
export_log=$log
printf written | dd of=disk.qcow2 conv=notrunc status=none
printf written | dd of=plain.raw conv=notrunc status=none
start_hostile_server "$PWD/disk.qcow2"
"${user[@]}" sh -c 'exec 9<disk.qcow2; echo open >fifo; exec sleep infinity' &
processes+=($!)
read -r _ <fifo
kill -TERM "$export"
server=$export expect_server_exit 0
expect_not_mounted disk.qcow2
expect_match "what it said" "$(cat "$export_log")" \
	'disk.qcow2: removed a mount of the user with the id 65534 that lay over the export'
expect_content disk.qcow2 plain.raw
expect_clean_check disk.qcow2

# What lies over the directory is left alone: it may be there by right.
as_user mkdir directory
as_user mv disk.qcow2 directory
start_export directory/disk.qcow2
export=$server
start_hostile_server "$PWD/directory"
kill -TERM "$export"
server=$export expect_server_exit 0
expect_mounted directory
umount directory
server=$hostile expect_server_exit 0
expect_not_mounted directory/disk.qcow2
expect_content directory/disk.qcow2 plain.raw

# So it is when the server dies: no dead mount stays.
start_export directory/disk.qcow2
export=$server
serving=$(serving_process)
start_hostile_server "$PWD/directory"
kill -KILL "$serving"
server=$export expect_server_exit 1
umount directory
expect_not_mounted directory/disk.qcow2
