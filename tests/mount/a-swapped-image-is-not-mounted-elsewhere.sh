#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Root exports the image of a stranger in place, who all the while exchanges it with a symlink to a file
# of root's. His disk never lies over that file, nor does anything dead.
. "$(dirname "$0")/lib.sh"
requires_root

mkdir ours theirs
pattern secret 65536
cp secret ours/file
qemu-img create -q -f qcow2 theirs/disk.qcow2 1M
ln -s "$PWD/ours/file" theirs/link
chown -R 65534:65534 theirs
chmod 755 "$scratch" ours theirs
mkfifo swapping
python3 - >swapping <<'END' &
import ctypes, errno, os
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
count = 0
while True:
    count += 1
    # RENAME_EXCHANGE; what something is mounted over stays.
    if libc.renameat2(-100, b"theirs/disk.qcow2", -100, b"theirs/link", 2) < 0:
        assert ctypes.get_errno() == errno.EBUSY, os.strerror(ctypes.get_errno())
    for _ in range(count % 3000):
        pass  # the moment differs
END
swapper=$!
processes+=("$swapper")
read -r _ <swapping

# Whatever was mounted, wherever; and what it says is of no interest, as it does not know either.
end_exports()
{
	local target

	while read -r target; do
		"$IMGFUSE" -u "$target" 2>/dev/null || umount -l "$target" || fail "$target stays"
	done < <(awk -v below="$scratch/" '/ fuse[.]imgfuse / && index($5, below) == 1 { print $5 }' \
		/proc/self/mountinfo)
}

mounted=0
for ((attempt = 0; attempt < ${ATTEMPTS:-60}; attempt++)); do
	"$IMGFUSE" -d theirs/disk.qcow2 2>>said && mounted=$((mounted + 1))
	cmp ours/file secret || fail "attempt $attempt: something lies over a file of ours"
	end_exports
done
cmp ours/file secret
kill "$swapper"
echo "$mounted of $attempt attempts were exported; the others said:"
sed 's/.*: //' said | sort | uniq -c
