#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A relative backing name belongs to the directory through which the overlay was reached, also where
# that is a symbolic link, as with QEMU. A chain may be 64 files deep, and no deeper.
. "$(dirname "$0")/lib.sh"

pattern one.raw 100000 one
pattern two.raw 100000 two
mkdir -p a/deep b
cp one.raw a/base.raw
cp two.raw b/base.raw
cp two.raw a/deep/base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw a/overlay.qcow2
qemu-img create -q -f qcow2 -b ../base.raw -F raw a/deep/up.qcow2
qemu-img create -q -f qcow2 -b "$PWD/a/base.raw" -F raw a/absolute.qcow2
ln -s ../a/overlay.qcow2 b/overlay.qcow2
ln -s ../a/absolute.qcow2 b/absolute.qcow2
ln -s a/deep link
ln -s a/overlay.qcow2 lost.qcow2
ln -s one.raw a/name.raw
mv a/base.raw a/real.raw
ln -s real.raw a/base.raw
: >point

for image in a/overlay.qcow2 b/overlay.qcow2 b/absolute.qcow2 a/deep/up.qcow2 link/up.qcow2 \
	"$PWD/b/overlay.qcow2" ./link/../deep/up.qcow2; do
	qemu-img convert -O raw "$image" wanted
	start_export -r "$image" point
	cmp point wanted || fail "$image"
	stop_export INT
done
(cd b && qemu-img convert -O raw overlay.qcow2 ../wanted)
cmp -n 100000 wanted two.raw
expect_some_failure qemu-img convert -O raw lost.qcow2 wanted
expect_failure 1 "lost.qcow2: its backing file base.raw: No such file" "$IMGFUSE" -r lost.qcow2 point

# Names are taken one after the other, so that the chain is made from its end.
qemu-img create -q -f qcow2 0.qcow2 1M
qemu-io -f qcow2 -c "write -P 7 1000 1000" 0.qcow2 >/dev/null
for ((i = 1; i <= 65; i++)); do
	qemu-img create -q -f qcow2 -u -b $((i - 1)).qcow2 -F qcow2 $i.qcow2 1M
done
qemu-img convert -O raw 0.qcow2 wanted
start_export 64.qcow2
cmp 64.qcow2 wanted
printf x | dd of=64.qcow2 bs=1 seek=5000 conv=notrunc status=none
stop_export INT
expect_failure 1 "^imgfuse: 65.qcow2 -> ... -> .* -> 1.qcow2 -> 0.qcow2: more than 64 backing files" timeout 60 "$IMGFUSE" 65.qcow2
expect_not_mounted 65.qcow2
