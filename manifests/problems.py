"""What is wrong with a manifest, where, and what to do: `FILE:LINE:COL: error: text`, the line with a caret, a hint."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WIDEST = 120
"""Characters of a source line that are shown at most."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Part of one line of a file. Line and columns count from 1; `end` is the column after it."""

    file: Path
    line: int
    column: int
    end: int

    def __str__(self) -> str:
        return f"{shown(self.file)}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One finding for the user; `hint` says how to mend it."""

    place: Place | None
    text: str
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        said = f"{self.severity}: {printable(self.text)}"
        lines = [f"{self.place}: {said}" if self.place else said]
        if self.place:
            lines += _excerpt(self.place)
        if self.hint:
            lines.append(f"  hint: {printable(self.hint)}")
        return "\n".join(lines)


class Refused(Exception):
    """The manifest cannot be used. Exit code 78 (`EX_CONFIG`)."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = ordered(problems)
        super().__init__(report(self.problems))


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, in the order of the files as they were first met, then by line."""
    unique = list(dict.fromkeys(problems))
    files = {file: rank for rank, file in enumerate(dict.fromkeys(p.place.file for p in unique if p.place))}
    return sorted(unique, key=lambda p: (files[p.place.file], p.place.line, p.place.column) if p.place else (-1, 0, 0))


def report(problems: Sequence[Problem]) -> str:
    """All problems as text for a terminal, without a final newline."""
    return "\n".join(str(problem) for problem in problems)


def shown(file: Path) -> str:
    """The file as a user would name it: relative to the current folder when it lies below."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def printable(text: str) -> str:
    """Text that leaves a terminal as it is: what does not print is written as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def alike(word: str, known: Iterable[str], cutoff: float = 0.6, most: int = 1) -> str | None:
    """`did you mean …?` with the `most` closest of the known words; None when none is close."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=most, cutoff=cutoff)
    if not near:
        near = [k for k in known if k.lower().replace("-", "_") == word.lower().replace("-", "_")][:most]
    return f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else None


def listing(words: Iterable[str], limit: int = 12) -> str:
    """Words in back quotes, with `…` when there are more than `limit`."""
    quoted = [f"`{word}`" for word in words]
    return ", ".join(quoted[:limit]) + (", …" if len(quoted) > limit else "")


def _excerpt(place: Place) -> list[str]:
    line = _line(place.file, place.line)
    if not line.strip():
        return []
    start, end = place.column - 1, max(place.end - 1, place.column)
    if len(line) > WIDEST:
        first = max(0, min(start - 20, len(line) - WIDEST))
        line, start, end = line[first : first + WIDEST], start - first, end - first
    end = min(end, max(len(line), start + 1))
    line = "".join(
        c if unicodedata.category(c)[0] != "C" else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line
    )
    return [f"  {line}", f"  {' ' * _width(line[:start])}{'^' * max(1, _width(line[start:end]))}"]


def _width(text: str) -> int:
    """Terminal columns of `text`."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _line(file: Path, number: int) -> str:
    try:
        text = file.read_bytes().decode(errors="replace")
    except OSError:
        return ""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[number - 1] if number <= len(lines) else ""
