#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A shell starts the background jobs of a script with SIGINT ignored; kill -INT works anyway.
# So does SIGTERM, though it was ignored before. (SIGHUP is another matter, see nohup-keeps-an-export.)
. "$(dirname "$0")/lib.sh"

make_disk
cat >script <<'END'
"$1" disk.qcow2 >said 2>&1 &
timeout 60 tail -n +1 -f said | grep -q -m 1 exported || exit 3
kill -INT $!
wait $!
END
: >said
timeout 100 bash script "$IMGFUSE" || fail "the script ended with $?: $(cat said)"
expect_not_mounted disk.qcow2
expect_equal "format" "$(format_of disk.qcow2)" qcow2

for signal in INT TERM; do
	launch bash -c 'trap "" INT TERM; exec "$@"' - "$IMGFUSE" disk.qcow2
	stop_export "$signal"
	expect_not_mounted disk.qcow2
done
