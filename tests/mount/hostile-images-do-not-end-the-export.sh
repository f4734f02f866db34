#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each image of the zoo's sick part is refused with one line and status 1, or it is exported, and
# then whatever is read and written, the server stays until it is told to go. In 512 MiB of address
# space, and never more than a few seconds of the processor's time.
. "$(dirname "$0")/lib.sh"

images=$(dirname "$test_script")/../images/bad

python3 - "$images" <<'END'
import lzma, os, sys
for name in os.listdir(sys.argv[1]):
    with lzma.open(os.path.join(sys.argv[1], name)) as stream, open(name[:-3], "wb") as image:
        image.write(stream.read())
END

ulimit -t 5
# A sanitizer needs address space without end.
grep -q '__[at]san_init' "$IMGFUSE" || ulimit -v $((512 << 10))

# Read and write what one can, from several places at once; that may fail.
use_disk() # IMAGE
{
	local at writers=()

	for at in 0 1 2 3 4 5 6 7; do
		timeout 60 dd if=/dev/zero of="$1" bs=512 count=9 seek=$((at * 8)) \
			conv=notrunc,fsync status=none 2>/dev/null &
		writers+=($!)
	done
	timeout 60 dd if="$1" of=/dev/null bs=4096 count=2048 conv=noerror status=none 2>/dev/null || :
	wait "${writers[@]}" || :
	timeout 60 fallocate --punch-hole --offset 4096 --length 16384 "$1" 2>/dev/null || :
	timeout 60 truncate -s 100000 "$1" 2>/dev/null || :
}

# Returns 1 where the image is refused.
try_image() # IMAGE OPTION...
{
	local image=$1 status=0

	shift
	"$IMGFUSE" --daemonize --pidfile "$scratch/pidfile" "$@" "$image" >said 2>&1 </dev/null ||
		status=$?
	if [ "$status" -ne 0 ]; then
		expect_equal "the status for $image" "$status" 1
		expect_not_mounted "$image"
		return 1
	fi
	server=$(cat "$scratch/pidfile")
	processes+=("$server")
	use_disk "$image"
	kill -0 "$server" || fail "the server of $image has gone: $(cat said)"
	expect_mounted "$image"
	size_of "$image" >/dev/null || fail "the export of $image does not answer"
	# That the image is not complete may be the answer.
	"$IMGFUSE" --unmount "$image" >/dev/null 2>&1 || :
	wait_for_exit "$server" || fail "the server of $image does not end"
	forget_process "$server"
	expect_not_mounted "$image"
}

exported=0
for image in *.qcow2; do
	if try_image "$image"; then
		exported=$((exported + 1))
	else
		# What cannot be repaired may still be looked at.
		try_image "$image" --read-only || :
	fi
done
echo "$exported of them were exported for writing"
[ "$exported" -gt 20 ]
