#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The image of a stranger does not show him files of root's: root opens only those backing and data
# files that the owner of the image could open himself, unless --references=all says so.
. "$(dirname "$0")/lib.sh"

requires_root
requires setpriv
pattern secret $((1 << 20))
chmod 600 secret
qemu-img create -q -f qcow2 -b secret -F raw evil.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw data.qcow2 1M
chmod 600 data.raw
chown 65534:65534 evil.qcow2 data.qcow2
chmod 755 .
expect_failure 1 "evil.qcow2: its backing file secret: .*owner.*--references=all" "$IMGFUSE" evil.qcow2
expect_failure 1 "data.qcow2: its data file data.raw: .*owner.*--references=all" "$IMGFUSE" data.qcow2
expect_failure 1 "evil.qcow2: .*--references=deny" "$IMGFUSE" --references=deny evil.qcow2
start_export --references=all evil.qcow2
cmp evil.qcow2 secret
stop_export
chmod 644 secret
start_export evil.qcow2
cmp evil.qcow2 secret
stop_export

# Whoever owns an image further down, root's own image on top of it, say, names files as himself.
chmod 600 secret
mkdir ours
qemu-img create -q -f qcow2 -b "$PWD/evil.qcow2" -F qcow2 ours/overlay.qcow2
expect_failure 1 "its backing file .*secret: .*owner.*--references=all" "$IMGFUSE" --info ours/overlay.qcow2
expect_failure 1 "its backing file .*secret: .*owner.*--references=all" \
	"$IMGFUSE" --info --backing=evil.qcow2 ours/overlay.qcow2
start_export --references=all ours/overlay.qcow2
cmp ours/overlay.qcow2 secret
stop_export

# Where root is already, and what he has open, the owner cannot get to by that.
mkdir -m 700 private
mkdir private/project
pattern private/project/notes 65536
chmod 644 private/project/notes

in_private_project() # IMAGE
(
	cd private/project && exec "$IMGFUSE" --info "$1" <notes
)

for name in notes "$PWD/private/project/notes" /proc/self/cwd/notes /proc/thread-self/cwd/notes \
	/proc/self/fd/0 /dev/stdin; do
	rm -f private/project/evil.qcow2
	qemu-img create -q -f qcow2 -u -b "$name" -F raw private/project/evil.qcow2 64k
	chown 65534:65534 private/project/evil.qcow2
	expect_failure 1 "its backing file .*: .*owner.*--references=all" in_private_project evil.qcow2
done
