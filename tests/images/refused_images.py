# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The part of the zoo that is sound, and of a kind that is not supported: it is refused by name.
make(place) makes the images and returns the words that refuse each.
"""

import struct

import craft
from craft import Image, extension

FORMATS = {"vmdk": "VMware (VMDK)", "vpc": "Virtual PC (VHD)", "vhdx": "Hyper-V (VHDX)",
           "vdi": "VirtualBox (VDI)", "qed": "QED", "parallels": "Parallels"}


def make(place):
    refusals = {}
    for name, description in FORMATS.items():
        image = f"refused/{name}.{name}"
        place.create(image, 1 << 20, image_format=name)
        refusals[image] = f"this is a {description} image, a format that is not supported"
    # What qemu-img makes has megabytes of key material.
    image = Image().set(crypt_method=2).extensions(
        extension(craft.EXT_LUKS, struct.pack(">QQ", 0x5000, 592)))
    image.data(0)
    place.image("refused/encrypted-luks.qcow2", image)
    refusals["refused/encrypted-luks.qcow2"] = "it is encrypted with LUKS, which is not supported"
    return refusals
