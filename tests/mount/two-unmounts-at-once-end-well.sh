#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Two imgfuse -u know the export, and one is quicker: the other finds nothing left to unmount, which
# is what it wanted. Both say that the image is final.
. "$(dirname "$0")/lib.sh"

make_disk
become_users_directory
mkfifo gate
chmod 666 gate
for who in as_user env; do
	for quick in "$IMGFUSE" fusermount3; do
		launch $who "$IMGFUSE" disk.qcow2
		$who "${unmount_gated[@]}" "$IMGFUSE" -u disk.qcow2 2>said &
		slow=$!
		exec 8<gate # it is about to unmount
		$who "$quick" -u disk.qcow2 8<&- || fail "$quick ended with $?"
		exec 8<&-
		wait $slow || fail "the slower one ended with $?, saying: $(cat said)"
		expect_server_exit 0
		expect_clean_check disk.qcow2
	done
done
