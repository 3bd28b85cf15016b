"""Merged data against the model: pydantic's errors as problems with places."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

from pydantic import ValidationError

from manifests import fields
from manifests.findings import Findings
from manifests.merge import Path, Plain
from manifests.model import Manifest
from manifests.problems import alike, listing

_KINDS = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
}
_LIMITS = {
    "greater_than_equal": ("ge", "must be at least"),
    "less_than_equal": ("le", "must be at most"),
}


def validate(plain: Plain) -> tuple[Manifest, Findings]:
    """The manifest, and what keeps the data from being one: then it is made of the part that fits the model.

    Where a parent is missing, nothing is said of what it may bring or mend.
    """
    try:
        return Manifest.model_validate(plain.data), Findings(plain)
    except ValidationError as error:
        mapping = _Mapping(plain)
        mapping.take(error)
        found = mapping.found
    data = copy.deepcopy(plain.data)
    for path in mapping.brought:
        _put_in(data, path, _BROUGHT[path[-1]])
    for _ in range(_ROUNDS):
        for path in sorted(found.broken, key=len, reverse=True):
            _take_out(data, path)
        for name, stand_in in _STAND_INS.items():
            data.setdefault(name, stand_in)
        try:
            return Manifest.model_validate(data), found
        except ValidationError as error:
            for one in error.errors(include_url=False):
                found.broken.add(_refused(data, one["loc"], str(one["type"])))
    return Manifest.model_validate(_STAND_INS), found


_ROUNDS = 8
"""Taking a value out may leave its map short of it, which is then taken out: maps lie no deeper."""
_STAND_INS = {"manifest": "1", "name": "unnamed", "image": {"base": "scratch"}}
"""For what must be there and is not, so that the rest can be checked."""
_BROUGHT: dict[str | int, str] = {"base": "scratch", "command": "true", "run": "true"}
"""The same, by key, for what a missing parent may bring."""


def _put_in(data: Any, path: Path, value: str) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def _take_out(data: dict[str, Any], path: Path) -> None:
    """Remove what stands at `path`; of a list's entry the list, because the places of the others must not shift."""
    whole = next((path[:index] for index, part in enumerate(path) if isinstance(part, int)), path)
    value: Any = data
    for part in whole[:-1]:
        if not isinstance(value, dict) or part not in value:
            return
        value = value[part]
    if isinstance(value, dict) and whole:
        value.pop(whole[-1], None)


def _refused(data: Any, loc: tuple[int | str, ...], kind: str) -> Path:
    """The path of what pydantic refused: for a key that is missing, of the map that lacks it."""
    path, _ = _path(data, loc, kind)
    return path[:-1] if kind == "missing" else path


def _path(data: Any, loc: tuple[int | str, ...], kind: str) -> tuple[Path, tuple[Path, str] | None]:
    """The path in the data that pydantic's `loc` means, and where a union's branch was taken, if one was."""
    value = data
    path: Path = ()
    branch: tuple[Path, str] | None = None
    for index, part in enumerate(loc):
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if part == "[key]":
            continue
        if inside:
            value = value[part]
            path = (*path, part)
        elif kind == "missing" and index == len(loc) - 1:
            path = (*path, part)
        elif branch is None:
            branch = (path, str(part))
    return path, branch


def _mended_by_a_parent(path: Path, error: dict[str, Any]) -> bool:
    """Whether a parent's entries, merged in, can make it right: those of maps, but not of maps in a list."""
    if any(isinstance(part, int) for part in path):
        return False
    return error["type"] in ("missing", "too_short") or (
        error["type"] == "value_error" and isinstance(error["input"], dict)
    )


class _Mapping:
    """Maps pydantic's errors to problems."""

    def __init__(self, plain: Plain) -> None:
        self.plain = plain
        self.found = Findings(plain)
        self.brought: list[Path] = []
        """What only a missing parent says."""

    def take(self, error: ValidationError) -> None:
        """Add one problem for each error; the branches of a union count as one value."""
        unions: dict[Path, dict[str, list[tuple[Path, dict[str, Any]]]]] = defaultdict(lambda: defaultdict(list))
        for one in error.errors(include_url=False):
            path, branch = _path(self.plain.data, one["loc"], str(one["type"]))
            mended = not self.plain.whole and _mended_by_a_parent(path, dict(one))
            if mended and one["type"] == "missing" and path[-1] in _BROUGHT:
                self.brought.append(path)
                continue
            self.found.broken.add(_refused(self.plain.data, one["loc"], str(one["type"])))
            if mended:
                continue
            if branch is None:
                self._problem(path, dict(one))
            else:
                at, tag = branch
                unions[at][tag].append((path, dict(one)))
        for at, branches in unions.items():
            self._union(at, branches)

    def _union(self, at: Path, branches: dict[str, list[tuple[Path, dict[str, Any]]]]) -> None:
        fitting = [
            errors
            for errors in branches.values()
            if not all(path == at and one["type"] in _KINDS for path, one in errors)
        ]
        if fitting:
            for path, one in fitting[0]:
                self._problem(path, one)
            return
        wanted = dict.fromkeys(_KINDS[one["type"]] for errors in branches.values() for _, one in errors)
        first = next(iter(branches.values()))[0][1]
        self.found.add(at, f"expected {' or '.join(wanted)}, found {_kind(first['input'])}", fields.documentation(at))

    def _problem(self, path: Path, error: dict[str, Any]) -> None:
        kind, given = str(error["type"]), error["input"]
        name = next((part for part in reversed(path) if isinstance(part, str)), "manifest")
        add = self.found.add
        if kind == "extra_forbidden":
            known = fields.keys(path[:-1])
            add(path, f"unknown key `{name}`", alike(name, known) or f"known here: {listing(known, 40)}", key=True)
        elif kind == "missing":
            inside = f" in `{path[-2]}`" if len(path) > 1 else ""
            add(path[:-1], f"`{name}` is missing{inside}", fields.documentation(path))
        elif kind in _KINDS:
            shape = "write it as `[…]`, or each entry in a line of its own after `- `" if kind == "list_type" else None
            add(path, f"expected {_KINDS[kind]}, found {_kind(given)}", shape or fields.documentation(path))
        elif kind == "literal_error":
            self._choice(path, given)
        elif kind in _LIMITS:
            limit, words = _LIMITS[kind]
            add(path, f"`{name}` {words} {error['ctx'][limit]}, found {given}", fields.documentation(path))
        elif kind == "too_short":
            add(path, f"`{name}` is empty", "it needs one entry at least")
        else:
            told = error["ctx"]["error"] if "error" in error.get("ctx", {}) else error["msg"]
            text, _, hint = str(told).partition("\n")
            add(path, text, hint or None, key="[key]" in error["loc"])

    def _choice(self, path: Path, given: Any) -> None:
        known = fields.choices(path)
        if path == ("manifest",):
            self.found.add(path, f"the format {given!r} is not known", "this version reads `manifest: 1`")
        elif isinstance(given, str):
            hint = alike(given, known) or fields.documentation(path)
            self.found.add(path, f"{given!r} is none of {listing(known)}", hint)
        else:
            words = " or ".join(f"`{word}`" for word in known)
            self.found.add(path, f"expected {words}, found {_kind(given)}", fields.documentation(path))


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return f"the text {value!r}" if len(str(value)) <= 40 else "text"
