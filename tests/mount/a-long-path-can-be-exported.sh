#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel shows no more than 255 bytes as the source of a mount. That does not keep an image from
# being exported whose path is longer, in place and elsewhere, by root and by an ordinary user.
. "$(dirname "$0")/lib.sh"

make_disk
: >mountpoint
become_users_directory
for length in 200 250 300 1000; do
	directory=$scratch
	while [ ${#directory} -lt $length ]; do
		directory=$directory/$(printf '%0.s-' $(seq 60))
	done
	as_user mkdir -p "$directory"
	as_user cp disk.qcow2 "$directory/image"
	for export in start_export start_export_as_user; do
		for mountpoint in "$directory/image" "$PWD/mountpoint"; do
			$export "$directory/image" "$mountpoint"
			as_user cmp "$mountpoint" plain.raw
			"$IMGFUSE" -u "$mountpoint"
			expect_server_exit 0
		done
	done
done
