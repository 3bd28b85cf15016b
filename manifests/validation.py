"""Merged data against the model: pydantic's errors as problems with places."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from manifests.merge import Path, Plain
from manifests.model import Manifest
from manifests.problems import Place, Problem, alike, listing

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


def validate(plain: Plain) -> tuple[Manifest | None, list[Problem]]:
    """The manifest, or what keeps the data from being one."""
    try:
        return Manifest.model_validate(plain.data), []
    except ValidationError as error:
        return None, _Findings(plain).problems(error)


class _Findings:
    def __init__(self, plain: Plain) -> None:
        self.plain = plain

    def problems(self, error: ValidationError) -> list[Problem]:
        """One problem for each error; the branches of a union count as one value."""
        plain_errors: list[tuple[Path, dict[str, Any]]] = []
        unions: dict[Path, dict[str, list[tuple[Path, dict[str, Any]]]]] = defaultdict(lambda: defaultdict(list))
        for one in error.errors(include_url=False):
            path, branch = self._path(one["loc"], str(one["type"]))
            if branch is None:
                plain_errors.append((path, dict(one)))
            else:
                at, tag = branch
                unions[at][tag].append((path, dict(one)))
        found = [self._problem(path, one) for path, one in plain_errors]
        for at, branches in unions.items():
            found += self._union(at, branches)
        return found

    def _path(self, loc: tuple[int | str, ...], kind: str) -> tuple[Path, tuple[Path, str] | None]:
        """The path in the YAML, and where a union's branch was taken, if one was."""
        value: Any = self.plain.data
        path: Path = ()
        branch: tuple[Path, str] | None = None
        for index, part in enumerate(loc):
            last = index == len(loc) - 1
            if part == "[key]":
                continue
            inside = (isinstance(value, dict) and part in value) or (
                isinstance(value, list) and isinstance(part, int) and part < len(value)
            )
            if inside:
                value = value[part]
                path = (*path, part)
            elif last and kind == "missing":
                path = (*path, part)
            elif branch is None:
                branch = (path, str(part))
        return path, branch

    def _union(self, at: Path, branches: dict[str, list[tuple[Path, dict[str, Any]]]]) -> list[Problem]:
        fitting = [
            errors
            for errors in branches.values()
            if not all(path == at and one["type"] in _KINDS for path, one in errors)
        ]
        if fitting:
            return [self._problem(path, one) for path, one in fitting[0]]
        wanted = dict.fromkeys(_KINDS[one["type"]] for errors in branches.values() for _, one in errors)
        first = next(iter(branches.values()))[0][1]
        return [Problem(self._place(at), f"expected {' or '.join(wanted)}, found {_kind(first['input'])}")]

    def _problem(self, path: Path, error: dict[str, Any]) -> Problem:
        kind, given = str(error["type"]), error["input"]
        name = str(path[-1]) if path else "manifest"
        if kind == "extra_forbidden":
            known = _known_keys(path[:-1])
            hint = alike(name, known) or f"known here: {listing(known, 40)}"
            return Problem(self._key_place(path), f"unknown key `{name}`", hint)
        if kind == "missing":
            inside = f" in `{path[-2]}`" if len(path) > 1 else ""
            doc = _documentation(path)
            return Problem(self._place(path[:-1]), f"`{name}` is missing{inside}", doc)
        if kind in _KINDS:
            expected = _KINDS[kind]
            shape = {"a list": "write it as `[…]`, or each entry in a line of its own after `- `"}.get(expected)
            return Problem(self._place(path), f"expected {expected}, found {_kind(given)}", shape)
        if kind == "literal_error":
            return self._choice(path, error)
        if kind in _LIMITS:
            limit, words = _LIMITS[kind]
            return Problem(self._place(path), f"`{name}` {words} {error['ctx'][limit]}, found {given}")
        if kind == "too_short":
            return Problem(self._place(path), f"`{name}` is empty", "it needs one entry at least")
        text, _, hint = str(error["ctx"]["error"] if "error" in error.get("ctx", {}) else error["msg"]).partition("\n")
        is_key = "[key]" in error["loc"]
        return Problem(self._key_place(path) if is_key else self._place(path), text, hint or None)

    def _choice(self, path: Path, error: dict[str, Any]) -> Problem:
        known = _choices(path)
        given = error["input"]
        if path == ("manifest",):
            return Problem(self._place(path), f"the format {given!r} is not known", "this version reads `manifest: 1`")
        if not isinstance(given, str):
            return Problem(self._place(path), f"expected {' or '.join(known)}, found {_kind(given)}")
        return Problem(self._place(path), f"{given!r} is none of {listing(known)}", alike(given, known))

    def _place(self, path: Path) -> Place | None:
        """Of a value; of its key when it spreads over lines (its start says little)."""
        plain = self.plain
        while path not in plain.where and path:
            path = path[:-1]
        if not path:
            return plain.keys.get(("name",)) or plain.where[()]
        key, value = plain.keys.get(path), plain.where[path]
        return key if key is not None and key.line != value.line else value

    def _key_place(self, path: Path) -> Place | None:
        return self.plain.keys.get(path) or self._place(path)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return f"the text {value!r}" if len(str(value)) <= 40 else "text"


def _field(model: type[BaseModel], key: str) -> Any:
    return next((f for name, f in model.model_fields.items() if (f.alias or name) == key), None)


def _types(path: Path) -> list[Any]:
    """Types that the model allows at a path."""
    here: list[Any] = [Manifest]
    for part in path:
        after: list[Any] = []
        for kind in here:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found = _field(kind, str(part))
                after += _flat(found.annotation) if found is not None else []
            elif getattr(kind, "__origin__", None) in (dict, list):
                after += _flat(get_args(kind)[-1])
        here = after
    return here


def _flat(kind: Any) -> list[Any]:
    """The members of a union, without `Annotated`."""
    import types
    import typing

    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _flat(get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [one for member in get_args(kind) for one in _flat(member)]
    return [kind]


def _known_keys(path: Path) -> list[str]:
    models = [k for k in _types(path) if isinstance(k, type) and issubclass(k, BaseModel)]
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _choices(path: Path) -> list[str]:
    import typing

    return [str(v) for k in _types(path) if typing.get_origin(k) is typing.Literal for v in get_args(k)]


def _documentation(path: Path) -> str | None:
    for kind in _types(path[:-1]):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found = _field(kind, str(path[-1]))
            if found is not None and found.description:
                return f"`{path[-1]}`: {found.description}"
    return None
