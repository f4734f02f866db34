#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --verbose: the format and how it was found, the cache mode, whether others get in. Each line begins
# with what says it, and the image.
. "$(dirname "$0")/lib.sh"

make_disk
start_export --verbose disk.qcow2
stop_export
expect_match "format" "$(cat "$log")" "format qcow2 [(]detected"
expect_match "cache" "$(cat "$log")" "cache writeback"
expect_match "others" "$(cat "$log")" "other users"
expect_equal "other lines" "$(sed "/^imgfuse: disk.qcow2: /d" "$log")" ""
start_export -v -f qcow2 --cache=none --allow-other=off disk.qcow2
stop_export
expect_match "format" "$(cat "$log")" "format qcow2 [(]as stated"
expect_match "cache" "$(cat "$log")" "cache none"
expect_match "others" "$(cat "$log")" "other users not let in"
