#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An image that was not closed properly, or is marked corrupt, can be looked at with --read-only, the
# latter with a warning. Writing is refused with the command that repairs it, which it then does; the
# image is not touched until then.
. "$(dirname "$0")/lib.sh"

# refused WORDS: neither the image nor the path is touched.
refused()
{
	cp disk.qcow2 before
	expect_failure 1 "disk.qcow2: .*$1.*--read-only.*qemu-img check -r all" "$IMGFUSE" disk.qcow2
	expect_not_mounted disk.qcow2
	cmp disk.qcow2 before
}

# shown_and_repaired: what is seen is what is there after the repair, and then it can be written.
shown_and_repaired()
{
	start_export --read-only disk.qcow2
	cp disk.qcow2 seen
	expect_some_failure dd if=/dev/zero of=disk.qcow2 count=1 conv=notrunc status=none
	stop_export INT
	cp "$log" said
	cmp disk.qcow2 before
	qemu-img check -q -r all disk.qcow2 >repaired 2>&1 || fail "qemu-img: $(cat repaired)"
	expect_content disk.qcow2 seen
	start_export disk.qcow2
	cmp disk.qcow2 seen
	printf x | dd of=disk.qcow2 bs=1 seek=77777 conv=notrunc status=none
	printf x | dd of=seen bs=1 seek=77777 conv=notrunc status=none
	stop_export INT
	expect_clean_check disk.qcow2
	expect_content disk.qcow2 seen
}

# QEMU dies with refcounts that it has not written.
pattern content $((1 << 20))
qemu-img create -q -f qcow2 -o lazy_refcounts=on disk.qcow2 4M
ulimit -c 0
{ qemu-io -f qcow2 -c "write -s content 300000 1M" -c flush -c abort disk.qcow2 || :; } >/dev/null 2>&1
expect_some_failure qemu-img check -q disk.qcow2
refused "not closed properly"
shown_and_repaired
expect_equal "the log" "$(cat said)" ""
cmp -n 1048576 -i 0:300000 content seen

# Marked corrupt: bit 1 of the incompatible features.
qemu-img create -q -f qcow2 disk.qcow2 4M
qemu-io -f qcow2 -c "write -s content 300000 1M" disk.qcow2 >/dev/null
printf '\2' | dd of=disk.qcow2 bs=1 seek=79 conv=notrunc status=none
expect_match "--info" "$("$IMGFUSE" --info disk.qcow2 2>&1)" 'corrupt: true'
refused "marked corrupt"
shown_and_repaired
expect_match "the log" "$(cat said)" "^imgfuse: warning: disk.qcow2: is marked corrupt: what it shows may be wrong$"
