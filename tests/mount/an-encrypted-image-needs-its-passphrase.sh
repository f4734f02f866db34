#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Images encrypted with AES show their content, read-only, to who has the passphrase; without one,
# with LUKS, and with what libqcow does not read in them, they are refused by name. --info describes
# them all the same. They may lie below an image that can be written.
. "$(dirname "$0")/lib.sh"

pattern plain $((2 << 20))
printf 'hunter2\n' >passphrase
secret=(--object "secret,id=s,data=hunter2")
qemu-img convert "${secret[@]}" -f raw -O qcow2 -o encrypt.format=aes,encrypt.key-secret=s plain aes.qcow2
qemu-img create -q "${secret[@]}" -f qcow -o encrypt.format=aes,encrypt.key-secret=s aes.qcow 2M
qemu-io "${secret[@]}" -c "write -P 7 512 1M" --image-opts \
	driver=qcow,encrypt.format=aes,encrypt.key-secret=s,file.filename=aes.qcow >/dev/null
# It measures how fast this machine is, and does not always come to a result.
for ((attempt = 0; attempt < 100; attempt++)); do
	qemu-img create -q "${secret[@]}" -f qcow2 \
		-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 \
		luks.qcow2 1M 2>/dev/null && break
done

expect_match "--info" "$("$IMGFUSE" --info aes.qcow2)" 'encrypted: yes \(aes\)'
expect_match "--info" "$("$IMGFUSE" --info luks.qcow2)" 'encrypted: yes \(luks\)'
expect_failure 1 "luks.qcow2: .*LUKS" "$IMGFUSE" luks.qcow2
said=$("$IMGFUSE" -r aes.qcow2 2>&1 </dev/null || :)
if grep -q "without libqcow" <<<"$said"; then
	expect_failure 1 "aes.qcow: .*without libqcow" "$IMGFUSE" -r aes.qcow
	exit 0
fi
expect_failure 1 "aes.qcow2: .*AES.*--passphrase-file" "$IMGFUSE" -r aes.qcow2
expect_failure 1 "aes.qcow: .*AES.*--passphrase-file" "$IMGFUSE" -r aes.qcow
expect_failure 1 "passphrase-file: it is not encrypted" "$IMGFUSE" -r --passphrase-file=passphrase plain

start_export --passphrase-file=passphrase aes.qcow2
cmp aes.qcow2 plain
expect_some_failure dd if=plain of=aes.qcow2 conv=notrunc status=none
stop_export
"$IMGFUSE" -d -p pid --passphrase-file=- aes.qcow2 <passphrase 2>/dev/null
processes+=("$(cat pid)")
cmp aes.qcow2 plain
"$IMGFUSE" -u aes.qcow2

qemu-img convert "${secret[@]}" -O raw --image-opts \
	driver=qcow,encrypt.format=aes,encrypt.key-secret=s,file.filename=aes.qcow seen
start_export --passphrase-file=passphrase aes.qcow
cmp aes.qcow seen
stop_export

# An overlay that is not encrypted itself.
for format in qcow qcow2; do
	qemu-img create -q -f qcow2 -u -b aes.$format -F $format overlay.qcow2 2M
	expect_failure 1 "overlay.qcow2 -> aes.$format: .*AES.*--passphrase-file" "$IMGFUSE" overlay.qcow2
	[ $format = qcow ] || cp plain seen
	start_export --passphrase-file=passphrase overlay.qcow2
	dd if=plain of=overlay.qcow2 bs=1000 seek=99 count=70 skip=1 conv=notrunc status=none
	dd if=plain of=seen bs=1000 seek=99 count=70 skip=1 conv=notrunc status=none
	cmp overlay.qcow2 seen
	stop_export
done

# refused NAME WORDS: by those words, and not described as something else.
refused()
{
	expect_failure 1 "^imgfuse: $1: it is encrypted with AES, and has $2: this is not supported together$" \
		"$IMGFUSE" -r --passphrase-file=passphrase "$1"
	expect_match "--info" "$("$IMGFUSE" --info "$1")" 'encrypted: yes \(aes\)'
}
encrypt=encrypt.format=aes,encrypt.key-secret=s
qemu-img create -q "${secret[@]}" -f qcow2 -b plain -F raw -o $encrypt backing.qcow2
refused backing.qcow2 "a backing file"
qemu-img create -q "${secret[@]}" -f qcow -b plain -F raw -o $encrypt backing.qcow
refused backing.qcow "a backing file"
qemu-img create -q "${secret[@]}" -f qcow2 -o $encrypt,data_file=data.raw data.qcow2 1M
refused data.qcow2 "an external data file"
qemu-img create -q "${secret[@]}" -f qcow2 -o $encrypt,extended_l2=on l2.qcow2 1M
refused l2.qcow2 "extended L2 entries"
qemu-img create -q "${secret[@]}" -f qcow2 -o $encrypt,compression_type=zstd zstd.qcow2 1M
refused zstd.qcow2 "a compression type"
