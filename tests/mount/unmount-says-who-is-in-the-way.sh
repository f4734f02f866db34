#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# imgfuse --unmount of what is in use names the processes that have it open or mapped, and the loop
# devices over it, and leaves all as it was. With --lazy the path shows the image at once, and the
# command ends when the last user does, with the image final. Another user's export is not for us.
. "$(dirname "$0")/lib.sh"

make_disk
pattern block $((1 << 20))
start_export disk.qcow2
exec 7<>disk.qcow2
expect_failure 1 "disk.qcow2: is in use by .*\($$\).*--lazy" "$IMGFUSE" -u disk.qcow2
exec 7>&-

# A mapping alone.
mkfifo go said
python3 - go said <<'END' &
import mmap, sys
with open("disk.qcow2", "r+b") as disk:
    mapped = mmap.mmap(disk.fileno(), 1 << 20)
mapped[:512] = b"m" * 512
with open(sys.argv[2], "w") as said:
    said.write("mapped\n")
open(sys.argv[1]).read()
END
mapper=$!
processes+=("$mapper")
read -r _ <said
expect_failure 1 "disk.qcow2: is in use by .*\($mapper\)" "$IMGFUSE" -u disk.qcow2
expect_mounted disk.qcow2

# The mapper stays in the way; its last change is there in the end.
"$IMGFUSE" -u --lazy disk.qcow2 2>lazy &
lazy=$!
processes+=("$lazy")
log=lazy wait_for_log "detached; waiting for who uses it: .*\($mapper\)"
kill -0 "$lazy" || fail "it did not wait"
echo >go
wait "$mapper"
status=0
wait "$lazy" || status=$?
expect_equal "the status of --lazy" $status 0
expect_server_exit 0
cp plain.raw wanted
printf 'm%.0s' {1..512} | dd of=wanted conv=notrunc status=none
expect_content disk.qcow2 wanted
expect_clean_check disk.qcow2

requires_loop_devices
start_export disk.qcow2
attach_loop disk.qcow2
expect_failure 1 "disk.qcow2: is in use by .*$loop" "$IMGFUSE" -u disk.qcow2
detach_loop "$loop"

if [ ${#user[@]} -gt 0 ]; then
	become_users_directory
	expect_failure 1 "disk.qcow2: is an export of the user with the id 0; only he and root" \
		as_user "$IMGFUSE" -u disk.qcow2
fi
"$IMGFUSE" -u disk.qcow2
expect_server_exit 0
