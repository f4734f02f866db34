#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --help, --version and --info have done nothing where their output did not arrive, on a full disk
# for example: one line that says so, and status 1.
. "$(dirname "$0")/lib.sh"

to_full()
{
	"$@" >/dev/full
}

make_disk
for arguments in --help --version "--info disk.qcow2" "--info --json disk.qcow2"; do
	# shellcheck disable=SC2086 # several words
	expect_failure 1 "standard output: No space left" to_full "$IMGFUSE" $arguments
done
# One error is enough.
expect_failure 1 "nothing.qcow2: No such file" to_full "$IMGFUSE" --info nothing.qcow2
