"""Collects problems of a merged manifest at paths of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from manifests.merge import Path, Plain
from manifests.problems import Place, Problem, alike, listing


class Findings:
    """Problems so far. `broken` holds the paths whose values the model refused."""

    def __init__(self, plain: Plain, broken: Iterable[Path] = ()) -> None:
        self.plain = plain
        self.broken = set(broken)
        self.problems: list[Problem] = []

    def add(self, path: Path, text: str, hint: str | None = None, *, key: bool = False) -> None:
        """A problem at the value at `path`, or at its key."""
        self.problems.append(Problem(self.key(path) if key else self.place(path), text, hint))

    def unknown(self, path: Path, text: str, name: str, known: Iterable[str], *, key: bool = False) -> None:
        """`name` is not among `known`."""
        known = list(known)
        there = f"known: {listing(known)}" if known else "the manifest has none"
        self.add(path, text, alike(name, known) or there, key=key)

    def place(self, path: Path) -> Place | None:
        """Of a value; of its key when it starts in another line (its start says little then)."""
        plain = self.plain
        while path not in plain.where and path:
            path = path[:-1]
        if not path:
            return plain.keys.get(("name",)) or plain.where[()]
        key, value = plain.keys.get(path), plain.where[path]
        return key if key is not None and key.line != value.line else value

    def key(self, path: Path) -> Place | None:
        return self.plain.keys.get(path) or self.place(path)

    def written(self, *path: str | int) -> Any:
        """What stands at `path`, as text, list or map; None when nothing does."""
        value: Any = self.plain.data
        for part in path:
            inside = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
            if not inside:
                return None
            value = value[part]
        return value

    def names(self, *path: str) -> list[str]:
        """Names of the entries at `path`, those included that the model refused."""
        value = self.written(*path)
        return list(value) if isinstance(value, dict) else []
