"""Relative paths: they stay below their root, and every part of them can be a file's name."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

MOST_NAME = 240
"""Bytes of one name: file systems allow 255, and a download adds to it while it is under way."""
MOST_PATH = 1000
"""Bytes of a whole path: Linux allows 4095 with all that stands before it."""
_UNNAMEABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, halves of surrogate pairs, separators of lines and paragraphs."""


def below(value: str) -> str:
    """The path, written plainly. Raises ValueError: what is wrong with it, and in a second line a hint."""
    path = PurePosixPath(value)
    if not value:
        raise ValueError(f"{value!r} is no path\nname a file or a folder")
    if not value.isprintable() and any(unicodedata.category(character) in _UNNAMEABLE for character in value):
        raise ValueError(f"the path {value!r} holds a control character\nwrite it without")
    if "\\" in value:
        raise ValueError(f"the path {value!r} holds a backslash\nseparate folders with `/`")
    if path.is_absolute() or value.startswith("~"):
        raise ValueError(f"path {value!r} is absolute\nwrite it relative to its root")
    if ".." in path.parts:
        raise ValueError(f"path {value!r} leaves its root\npaths must stay below their root: remove `..`")
    longest = max((len(part.encode()) for part in path.parts), default=0)
    if longest > MOST_NAME:
        raise ValueError(f"a name of {longest} bytes stands in this path\na file's name has at most {MOST_NAME} bytes")
    if len(value.encode()) > MOST_PATH:
        raise ValueError(f"this path has {len(value.encode())} bytes\na path has at most {MOST_PATH} bytes")
    return path.as_posix()
