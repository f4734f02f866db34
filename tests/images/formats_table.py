# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Is the table of formats in README.md true? Each row claims whether something can be read, and whether
it can be written. What proves it are images that have that feature, found in their bytes, and what
happened when cat-image read and wrote them. A row without such an image is wrong, and so is an
image with a feature that no row speaks of.
"""


class Outcome:
    """What came of one sound image of the zoo."""

    def __init__(self, name, reads):
        self.name = name
        self.reads = reads        # it held what the manifest says
        self.writes = False       # it could be written
        self.features = set()     # see features.py
        self.features_after = set()  # when it had been written
        self.left_out = False     # a library is missing: nothing is known


# The rows, and the features that each speaks of.
ROWS = {
    "raw": {"raw"},
    "qcow2, versions 2 and 3": {"version 2", "version 3",
                                *(f"cluster size {1 << bits}" for bits in range(9, 22)),
                                *(f"refcount bits {1 << order}" for order in range(7))},
    "compressed clusters, zlib and zstd": {"zlib", "zstd"},
    "extended L2 entries (subclusters)": {"extended L2"},
    "external data file, also raw ones": {"data file", "raw data file"},
    "backing chain, up to 64 files deep": {"backing file"},
    "internal snapshots": {"snapshot"},
    "persistent bitmaps": {"bitmaps"},
    "not closed properly (dirty)": {"dirty"},
    "marked corrupt": {"corrupt"},
    "encrypted with AES": {"AES"},
    "encrypted with LUKS": {"LUKS"},
    "QCOW version 1": {"QCOW1", "QCOW1 compressed", "QCOW1 AES", "QCOW1 backing file"},
    "VMDK, VHD, VHDX, VDI, QED, Parallels": {"VMDK", "VHD", "VHDX", "VDI", "QED", "Parallels"},
}

# What may stand in the columns, and whether that means that it works.
READ = {"yes": True, "ignored": True, "`-r`": True, "`-r`, with a warning": True, "refused": False}
WRITE = {"yes": True, "top only": True, "invalidated": True, "no": False, "refused": False}


def read_rows(path):
    """The table of README.md as {format: (read, write)}."""
    with open(path, encoding="utf-8") as stream:
        section = stream.read().partition("\n## Formats\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = {}
    for line in lines[2:]:
        name, read, write = (cell.strip() for cell in line.split("|")[1:4])
        rows[name.removeprefix("- ")] = (read, write)
    return rows


def features_of(outcomes):
    return set().union(*(outcome.features for outcome in outcomes))


def check_column(column, meaning, claims, outcomes, works):
    """
    One column of all rows: claims has the word of each. Where a row says no, no image with its
    feature must work; every other image must, and show what the remaining rows say.
    """
    left_out = features_of(outcome for outcome in outcomes if outcome.left_out)
    outcomes = [outcome for outcome in outcomes if not outcome.left_out]
    for name, word in claims.items():
        if word not in meaning:
            yield f"{name}: {column}: nobody knows what '{word}' means"
            return
    refused = set().union(*(ROWS[name] for name, word in claims.items() if not meaning[word]))
    for outcome in outcomes:
        if works(outcome) == bool(outcome.features & refused):
            yield (f"{column}: {outcome.name} {'works' if works(outcome) else 'does not'}, against "
                   f"what the rows of {', '.join(sorted(outcome.features))} say")
    for name, word in claims.items():
        shown = features_of(outcome for outcome in outcomes if works(outcome) == meaning[word])
        for feature in sorted(ROWS[name] - shown - left_out):
            yield f"{name}: {column}: no image of the zoo shows that for {feature}"


def check_rows(rows, outcomes):
    yield from check_column("read", READ, {name: row[0] for name, row in rows.items()}, outcomes,
                            lambda outcome: outcome.reads)
    yield from check_column("write", WRITE, {name: row[1] for name, row in rows.items()}, outcomes,
                            lambda outcome: outcome.writes)
    for name, row in rows.items():
        for outcome in outcomes if row[1] == "invalidated" else ():
            if outcome.features_after & ROWS[name]:
                yield f"{name}: {outcome.name} still has them when it was written"
    for feature in sorted(features_of(outcomes) - set().union(*ROWS.values())):
        yield f"no row speaks of {feature}"


def check(path, outcomes):
    """Returns a list of what is wrong."""
    rows = read_rows(path)
    if set(rows) != set(ROWS):
        return [f"the table and formats_table.py differ in the rows {set(rows) ^ set(ROWS)}"]
    return list(check_rows(rows, outcomes))
