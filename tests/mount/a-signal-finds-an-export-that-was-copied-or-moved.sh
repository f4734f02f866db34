#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An export is bound to another path, too, and unmounted at its own: a signal does not take the copy
# for the export with something over it. One that was moved is found where it is. And one that may
# not be looked at is not taken for gone.
. "$(dirname "$0")/lib.sh"
requires_root

make_disk
mkdir directory
mv disk.qcow2 directory
image=directory/disk.qcow2
touch elsewhere

start_export $image
mount --bind $image elsewhere
umount $image
kill -TERM "$server"
wait_for_log "unmounted, but still mounted or in use elsewhere"
umount elsewhere
expect_server_exit 0

# A mount can only be moved where that is not passed on to other namespaces.
if [ "$(findmnt -n -o PROPAGATION -T .)" = private ]; then
	start_export $image
	mount --move $image elsewhere
	stop_export
	expect_not_mounted elsewhere
	expect_clean_check $image
fi

become_users_directory
start_export_as_user $image
chmod a-x directory
kill -TERM "$server"
wait_for_log "cannot unmount: Permission denied; still serving it"
chmod a+x directory
stop_export
expect_not_mounted $image
expect_content $image plain.raw
