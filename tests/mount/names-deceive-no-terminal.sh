#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Names of files and snapshots may hold what a terminal obeys (C0 and C1 control characters) or what
# turns the direction of writing: nothing of it is printed, in messages, in the line that says that
# an export is usable, or by --info; the JSON escapes it.
. "$(dirname "$0")/lib.sh"

names=(
	$'c1\302\233m' $'raw\233m' $'override\342\200\256wocq' $'isolate\342\201\246x'
	$'mark\342\200\217x' $'arabic\330\234x' $'escape\033[31m' $'gr\303\274n'
)

expect_harmless() # WHAT FILE
{
	python3 - "$2" <<'END' || fail "$1 is not harmless: $(od -c "$2" | head -40)"
import sys
text = open(sys.argv[1], "rb").read().decode("utf-8")
bad = set(range(0x20)) - {10} | set(range(0x7f, 0xa0)) | {0x61c, 0x200e, 0x200f} \
    | set(range(0x202a, 0x202f)) | set(range(0x2066, 0x206a))
sys.exit(any(ord(c) in bad for c in text))
END
}

make_disk
for name in "${names[@]}"; do
	cp disk.qcow2 "$name"
	qemu-img snapshot -c "$name" "$name"
	qemu-img create -q -f qcow2 -u -b "$name" -F qcow2 overlay.qcow2 16M
	"$IMGFUSE" --info overlay.qcow2 >text
	expect_harmless "--info of an overlay of ${name@Q}" text
	"$IMGFUSE" --info --json overlay.qcow2 >json
	expect_harmless "--info --json of an overlay of ${name@Q}" json
	python3 - "$name" <<'END' || fail "the JSON has another name than ${name@Q}"
import json, os, sys
info = json.load(open("json", encoding="utf-8"))
name = os.fsencode(sys.argv[1]).decode("utf-8", "replace")
sys.exit(info["backing-filename"] != name or info["backing-image"]["snapshots"][0]["name"] != name)
END

	start_export "$name"
	printf '%s\n' "$readiness" >said
	expect_harmless "the readiness line for ${name@Q}" said
	expect_failure 1 'is an export' "$IMGFUSE" "$name"
	expect_harmless "an error about ${name@Q}" failure
	stop_export

	rm "$name"
	expect_failure 1 'No such file' "$IMGFUSE" --info overlay.qcow2
	expect_harmless "an error about the missing ${name@Q}" failure
done
expect_match "the last name" "$readiness" $'^gr\303\274n: exported'
