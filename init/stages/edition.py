"""Editions of a notebook: the one that comes in, the user's own, and which of them stays.

What counts is what was written: kinds and sources of the cells, and what is attached to them. Running a notebook
changes outputs, counts and metadata only, and is no edit.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

SUFFIX = ".ipynb"
LARGEST = 50_000_000
"""Bytes of a notebook."""
LONGEST = 200
"""Bytes of its name: drafts and what lies beside it have longer ones, and 255 is what disks take."""


class NoNotebook(Exception):
    """It cannot be used as a notebook; the text says why."""


@dataclass(frozen=True)
class Edition:
    content: bytes
    digest: str
    """Of what was written."""


def parse(content: bytes) -> Edition:
    """Raises NoNotebook."""
    if len(content) > LARGEST:
        raise NoNotebook(f"it is larger than {LARGEST // 1_000_000} MB")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise NoNotebook("it is not JSON") from None
    cells = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(cells, list) or not isinstance(data.get("nbformat"), int):
        raise NoNotebook("it is JSON without the cells of a notebook")
    written = json.dumps([_written(cell) for cell in cells], sort_keys=True)
    return Edition(content, hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest())


def _written(cell: Any) -> list[Any]:
    if not isinstance(cell, dict):
        raise NoNotebook("one of its cells is none")
    source = cell.get("source")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    return [cell.get("cell_type"), text, cell.get("attachments") or {}]


def checked(name: str) -> str:
    """`name` as a path of a notebook below a root. Raises NoNotebook."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or any(ord(letter) < 32 for letter in name):
        raise NoNotebook(f"the file name {name!r} leaves its folder")
    if path.suffix != SUFFIX or not path.stem or path.name.startswith("."):
        raise NoNotebook(f"the file name {name!r} does not end in {SUFFIX}")
    if len(os.fsencode(path.name)) > LONGEST:
        raise NoNotebook(f"the file name '{path.name[:40]}…' is too long")
    return str(path)


def settle(incoming: Edition, at: Path, known: set[str]) -> str:
    """Put `incoming` at `at`, or beside it where the user has changed what is there. `known` are digests of the
    editions that were put there before, and grows. Gives what to say of it. Raises OSError.
    """
    if not os.path.lexists(at):
        _write(at, incoming.content)
        known.add(incoming.digest)
        return ""
    mine = _read(at)
    if mine is not None and mine.digest == incoming.digest:
        known.add(incoming.digest)
        return ""
    if mine is not None and mine.digest in known:
        _write(at, incoming.content)
        known.add(incoming.digest)
        return "brought up to date"
    if incoming.digest in known:
        return f"your {at.name} has changes of yours and stays as it is; nothing newer has come"
    beside = _beside(incoming, at, known)
    known.add(f"beside {incoming.digest}")
    return f"your {at.name} has changes of yours and stays as it is; the newer one lies beside it, {beside.name}"


def _beside(incoming: Edition, at: Path, known: set[str]) -> Path:
    """Write the incoming one under the first name that holds nothing of the user's."""
    number = 1
    while True:
        place = at.with_name(f"{at.stem}.incoming{f'-{number}' if number > 1 else ''}{SUFFIX}")
        there = _read(place) if os.path.lexists(place) else None
        if there is not None and there.digest == incoming.digest:
            return place
        if not os.path.lexists(place) or (there is not None and f"beside {there.digest}" in known):
            _write(place, incoming.content)
            return place
        number += 1


def _read(path: Path) -> Edition | None:
    """None: whatever it is, it is the user's."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return parse(path.read_bytes())
    except (OSError, NoNotebook):
        return None


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.partial")
    part.write_bytes(content)
    part.replace(path)
