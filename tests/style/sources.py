# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finding the project's files, and reading C without its comments and strings."""

import os
import re


def files(root, *tops):
    """Every file of the tree below root (or its directories tops), relative to root, sorted.

    Build directories, wherever they lie, and .git are left out.
    """
    found = []
    for top in tops or (".",):
        for directory, subdirectories, names in os.walk(os.path.join(root, top)):
            if "build.ninja" in names:
                subdirectories.clear()
                continue
            subdirectories[:] = [d for d in subdirectories if d not in (".git", "__pycache__")]
            for name in names:
                found.append(os.path.relpath(os.path.join(directory, name), root))
    return sorted(found)


def c_files(root, *tops):
    return [f for f in files(root, *tops) if f.endswith((".c", ".h"))]


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8") as f:
        return f.read()


_COMMENT_OR_STRING = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


def without_comments(text, keep_strings=False):
    """C with comments, and unless told otherwise what strings say, blanked out; lines stay lines."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token if keep_strings else token[0] * 2
        return re.sub(r"[^\n]", " ", token)

    return _COMMENT_OR_STRING.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def finish(complaints, count):
    """Say what is wrong, one line each, and end the program."""
    for complaint in complaints:
        print(complaint)
    if count == 0:
        print("nothing was checked")
    raise SystemExit(1 if complaints or count == 0 else 0)
