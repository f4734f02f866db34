#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Names in an image may hold anything: --info shows no control characters, and --json stays
# valid JSON in UTF-8.
. "$(dirname "$0")/lib.sh"
requires jq

make_disk
name=$(printf 'b\033[31m\n\377"\\.qcow2')
mv disk.qcow2 "$name"
qemu-img create -q -f qcow2 -u -b "$name" -F qcow2 overlay.qcow2 16M
"$IMGFUSE" --info overlay.qcow2 >text
if LC_ALL=C grep -q "$(printf '[\001-\010\013-\037]')" text; then fail "it shows control characters"; fi
"$IMGFUSE" --info --json overlay.qcow2 >json
python3 -c 'import json; json.load(open("json", encoding="utf-8"))'
expect_equal "format below" "$(jq -r '."backing-image".format' json)" qcow2
