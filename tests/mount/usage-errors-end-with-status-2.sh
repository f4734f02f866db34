#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --help and --version print and end with 0. What the command line cannot mean ends with 2 and
# one line, before anything is touched.
. "$(dirname "$0")/lib.sh"

make_disk
expect_match "--help" "$("$IMGFUSE" --help)" "^Usage: imgfuse "
expect_match "-h" "$("$IMGFUSE" -h)" "^Usage: imgfuse "
expect_match "--version" "$("$IMGFUSE" --version)" "^imgfuse [0-9]+[.][0-9]+[.][0-9]+$"
expect_equal "-V" "$("$IMGFUSE" -V)" "$("$IMGFUSE" --version)"
expect_failure 2 "IMAGE" "$IMGFUSE"
expect_failure 2 "no-such-option" "$IMGFUSE" --no-such-option disk.qcow2
expect_failure 2 "-x" "$IMGFUSE" -x disk.qcow2
expect_failure 2 "bochs.*raw" "$IMGFUSE" --format=bochs disk.qcow2
expect_failure 2 "cache.*writeback" "$IMGFUSE" --cache=sometimes disk.qcow2
expect_failure 2 "allow-other.*auto" "$IMGFUSE" --allow-other=maybe disk.qcow2
expect_failure 2 "discard" "$IMGFUSE" --discard=perhaps disk.qcow2
expect_failure 2 "third" "$IMGFUSE" disk.qcow2 second third
expect_failure 2 "json" "$IMGFUSE" --json disk.qcow2
expect_not_mounted disk.qcow2
