#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --allow-other: an ordinary user needs user_allow_other in /etc/fuse.conf. With it, root can read
# the user's export; without it, =on is a clear error and =auto goes without. The file is
# replaced in a mount namespace of our own, so the machine's stays as it is.
. "$(dirname "$0")/lib.sh"
requires_root
requires unshare

if [ "${1:-}" != inside ]; then
	mkdir inside
	unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
	status=0
	TMPDIR=$scratch/inside unshare -m "$test_script" inside || status=$?
	exit $status
fi

chmod 755 "$scratch" "$(dirname "$scratch")" "$(dirname "$(dirname "$scratch")")"
make_disk
become_users_directory
fuse_conf=$scratch/fuse.conf
: >"$fuse_conf"
mount --bind "$fuse_conf" /etc/fuse.conf

expect_failure 1 "user_allow_other.*fuse.conf|fuse.conf.*user_allow_other" \
	as_user "$IMGFUSE" --allow-other=on disk.qcow2
expect_not_mounted disk.qcow2
for choice in auto off; do
	start_export_as_user --allow-other=$choice disk.qcow2
	as_user cmp disk.qcow2 plain.raw
	if cat disk.qcow2 >/dev/null 2>&1; then fail "root got in with --allow-other=$choice"; fi
	# Root can end it nevertheless.
	"$IMGFUSE" -u disk.qcow2
	expect_server_exit 0
done

echo user_allow_other >"$fuse_conf"
for choice in auto on; do
	start_export_as_user --allow-other=$choice disk.qcow2
	cmp disk.qcow2 plain.raw
	stop_export
done
start_export_as_user --allow-other=off disk.qcow2
if cat disk.qcow2 >/dev/null 2>&1; then fail "root got in with --allow-other=off"; fi
stop_export
umount /etc/fuse.conf

# Root needs nobody's permission; the mode of the file says who may.
chmod 644 disk.qcow2
start_export disk.qcow2
setpriv --reuid=65534 --regid=65534 --clear-groups cmp disk.qcow2 plain.raw
stop_export
start_export --allow-other=off disk.qcow2
if setpriv --reuid=65534 --regid=65534 --clear-groups cat disk.qcow2 >/dev/null 2>&1; then
	fail "nobody got in with --allow-other=off"
fi
stop_export
