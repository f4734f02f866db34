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

# A group that an image has, by the directory it was made in, is not one that its owner is in.
mkdir group
pattern group/secret 65536
chmod 640 group/secret
qemu-img create -q -f qcow2 -u -b secret -F raw group/evil.qcow2 64k
chown 54321:54322 group/evil.qcow2
chgrp 54322 group/secret
expect_failure 1 "its backing file .*: .*owner.*--references=all" "$IMGFUSE" --info group/evil.qcow2

# Where root's capabilities stay whoever he is, his rights cannot be put aside.
expect_failure 1 "its backing file .*: cannot look with the rights of its owner" \
	setpriv --securebits=+no_setuid_fixup "$IMGFUSE" --info private/project/evil.qcow2

# That a file is root's is not believed of a file system that somebody may have brought along, nor of
# one that an ordinary user serves.
chmod 600 private/project/notes
mkdir made
qemu-img create -q -f qcow2 -u -b "$PWD/private/project/notes" -F raw made/roots.qcow2 64k
cp made/roots.qcow2 shown.qcow2
: >served.qcow2
launch env FUSE_OPTIONS=subtype=served,allow_other,suid SHOWN="$PWD/shown.qcow2" \
	setpriv --ruid=65534 "${HOSTILE_SERVER:?}" "$PWD/served.qcow2"
expect_equal "whose it looks like" "$(stat -c %u served.qcow2)" 0
expect_failure 1 "its backing file .*: .*owner.*--references=all" "$IMGFUSE" --info served.qcow2
umount served.qcow2
expect_server_exit 0
requires_loop_devices
truncate -s 8M stick
mkfs.ext4 -q -d made stick
mkdir mnt
attach_loop stick
mount -o nosuid "$loop" mnt
expect_failure 1 "its backing file .*: .*owner.*--references=all" "$IMGFUSE" --info mnt/roots.qcow2
umount mnt
mount "$loop" mnt
"$IMGFUSE" --info mnt/roots.qcow2 >seen
umount mnt
detach_loop "$loop"
