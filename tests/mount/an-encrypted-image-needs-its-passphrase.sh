#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Images encrypted with AES show their content, read-only, to who has the passphrase, whatever else
# they have; without one, and with LUKS, they are refused by name. --info describes them all the same.
# They may lie below an image that can be written.
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

# With a backing file, subclusters or a data file of its own, and as it was when a snapshot was taken.
encrypt=encrypt.format=aes,encrypt.key-secret=s
# same FORMAT NAME: it is shown as QEMU reads it.
same()
{
	qemu-io "${secret[@]}" -c "write -P 7 1024 5120" -c "write -P 8 700k 70k" --image-opts \
		"driver=$1,$encrypt,file.filename=$2" >/dev/null
	qemu-img convert "${secret[@]}" -O raw --image-opts "driver=$1,$encrypt,file.filename=$2" seen
	start_export --passphrase-file=passphrase "$2"
	cmp "$2" seen
	stop_export
}
qemu-img create -q "${secret[@]}" -f qcow2 -b plain -F raw -o $encrypt backing.qcow2
same qcow2 backing.qcow2
qemu-img create -q "${secret[@]}" -f qcow2 -b plain -F raw -o $encrypt,extended_l2=on l2.qcow2
same qcow2 l2.qcow2
qemu-img create -q "${secret[@]}" -f qcow -b plain -F raw -o $encrypt backing.qcow
same qcow backing.qcow
qemu-img create -q "${secret[@]}" -f qcow2 -o $encrypt,data_file=data.raw data.qcow2 1M
same qcow2 data.qcow2
qemu-img create -q "${secret[@]}" -f qcow2 -o $encrypt,compression_type=zstd,cluster_size=2M zstd.qcow2 1M
same qcow2 zstd.qcow2
qemu-img snapshot "${secret[@]}" -c before --image-opts "driver=qcow2,$encrypt,file.filename=aes.qcow2"
same qcow2 aes.qcow2
start_export --passphrase-file=passphrase --snapshot=before aes.qcow2
cmp aes.qcow2 plain
stop_export

# A disk that no encrypted image was ever made for, at little cost.
qemu-img create -q "${secret[@]}" -f qcow2 -o $encrypt,cluster_size=2M large.qcow2 33T
expect_failure 1 "large.qcow2: .*AES.*too large" "$IMGFUSE" --passphrase-file=passphrase large.qcow2
