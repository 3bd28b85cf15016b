"""Requirement files, read line by line as pip reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_COMMENT = re.compile(r"(^|\s+)#.*$")
_INDEX_OPTIONS = ("--extra-index-url", "--index-url", "-i", "--find-links", "-f", "--no-index", "--pre")
_INLINE = re.compile(r"\s+(?=--(?:extra-index-url|index-url|find-links)[\s=])")
"""Where an option begins that stands behind a requirement: pip takes it for the whole file."""
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
LARGEST = 1_000_000
"""Bytes of a requirement file."""


@dataclass(frozen=True)
class Line:
    """One requirement: what pip would be given, and its name where that can be told."""

    text: str
    place: str
    name: str | None = None


@dataclass
class Requirements:
    lines: list[Line] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    """Where to look for packages, as arguments of uv."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kept:
    """A line that asks for another version of a frozen package."""

    text: str
    version: str

    def __str__(self) -> str:
        return f"asks for {self.text}, kept {self.version}"


def read(file: Path, root: Path) -> Requirements:
    """The requirements of `file` and of the files that it includes from below `root`."""
    found = Requirements()
    _read(file, root.resolve(), found, set())
    return found


def parse(texts: Iterable[str], place: str) -> list[Line]:
    return [Line(text, place, name_of(text)) for text in texts]


def name_of(text: str) -> str | None:
    """Canonical name of the package that a requirement line asks for; None for folders and unnamed addresses."""
    try:
        return canonicalize_name(Requirement(_without_hashes(text)).name)
    except InvalidRequirement:
        pass
    if egg := _EGG.search(text):
        return canonicalize_name(egg[1])
    file = unquote(urlsplit(text).path).rpartition("/")[2]
    return canonicalize_name(file.split("-")[0]) if file.endswith(".whl") else None


def without_frozen(lines: Iterable[Line], frozen: Mapping[str, str]) -> tuple[list[Line], list[Kept]]:
    """The lines without those of frozen packages, and which of those ask for another version."""
    rest, kept = [], []
    for line in lines:
        version = frozen.get(line.name or "")
        if version is None:
            rest.append(line)
            continue
        try:
            wanted = Requirement(_without_hashes(line.text))
        except InvalidRequirement:
            kept.append(Kept(line.text, version))
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        if wanted.url is not None or not wanted.specifier.contains(version, prereleases=True):
            kept.append(Kept(line.text, version))
        if wanted.extras:
            rest.append(Line(f"{wanted.name}[{','.join(sorted(wanted.extras))}]", line.place, line.name))
    return rest, kept


def satisfied(line: Line, installed: Mapping[str, str]) -> bool:
    """The requirement is met without asking an installer."""
    try:
        wanted = Requirement(line.text)
    except InvalidRequirement:
        return False
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    version = installed.get(line.name or "")
    if version is None or wanted.extras or wanted.url is not None:
        return False
    return wanted.specifier.contains(version, prereleases=True)


def _read(file: Path, root: Path, found: Requirements, seen: set[Path]) -> None:
    real = file.resolve()
    if real in seen:
        return
    seen.add(real)
    if not real.is_relative_to(root):
        found.problems.append(f"{file} leads out of its folder and is passed over")
        return
    try:
        odd = real.exists() and (not real.is_file() or real.stat().st_size > LARGEST)
        text = "" if odd else _decode(real.read_bytes())
    except OSError:
        found.problems.append(f"{file} cannot be read and is passed over")
        return
    if odd:
        found.problems.append(f"{file} is no file or larger than {LARGEST // 1_000_000} MB, and is passed over")
    for number, line in _logical_lines(text):
        place = f"{real.relative_to(root)}:{number}"
        option, value = _option(line)
        if option is None:
            line, *more = _INLINE.split(line)
            found.options += [word for text in more for word in _option(text) if word]
            found.lines.append(Line(_absolute(line, real.parent), place, name_of(line)))
        elif option in ("-r", "--requirement"):
            _read(real.parent / value, root, found, seen)
        elif option in ("-c", "--constraint"):
            found.options += ["--constraints", str(real.parent / value)]
        elif option in ("-e", "--editable"):
            found.lines.append(Line(_absolute(value, real.parent), place, name_of(value)))
        elif option == "--pre":
            found.options += ["--prerelease", "allow"]
        elif option in _INDEX_OPTIONS:
            found.options += [option, value] if value else [option]
        else:
            found.problems.append(f"{place}: {option} is passed over")


def _decode(content: bytes) -> str:
    # Files written by PowerShell are UTF-16.
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines without comments, continuations joined, with the number of their first line."""
    found: list[tuple[int, str]] = []
    held, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw if held and raw.lstrip().startswith("#") else _COMMENT.sub("", raw)
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            held += raw[:-1]
            continue
        line = (held + line).strip()
        if line:
            found.append((start, line))
        held, start = "", 0
    if held.strip():
        found.append((start, held.strip()))
    return found


def _option(line: str) -> tuple[str | None, str]:
    """The option that a line consists of, and its value."""
    if not line.startswith("-"):
        return None, ""
    words = re.split(r"[\s=]+", line, maxsplit=1)
    option, value = words[0], words[1].strip() if len(words) > 1 else ""
    if not option.startswith("--") and len(option) > 2:
        option, value = option[:2], option[2:]
    return option, value


def _absolute(text: str, folder: Path) -> str:
    """A requirement that is a folder or file, relative to its file, as an absolute one."""
    if text.startswith(("./", "../")) or text == ".":
        return str((folder / text).resolve())
    return text


def _without_hashes(text: str) -> str:
    return re.sub(r"\s--hash[=\s]\S+", "", text).strip()
