"""What the model says about a path of a manifest: keys, choices, documentation."""

from __future__ import annotations

import types
import typing
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from manifests.model import Manifest

Path = tuple[str | int, ...]


def keys(path: Path) -> list[str]:
    """Keys that a map at `path` may have; none when they are free."""
    return [found.alias or name for model in models(path) for name, found in model.model_fields.items()]


def choices(path: Path) -> list[str]:
    """Words that may stand at `path`, when they are few."""
    return [str(v) for kind in _kinds(path) if typing.get_origin(kind) is typing.Literal for v in get_args(kind)]


def documentation(path: Path) -> str | None:
    """What the model says about the last key of `path` that it knows."""
    for length in range(len(path), 0, -1):
        if found := _documented(path[:length]):
            return found
    return None


def _documented(path: Path) -> str | None:
    for model in models(path[:-1]):
        found = field(model, str(path[-1]))
        if found is not None and found.description:
            return f"`{path[-1]}`: {' '.join(found.description.split())}"
    return None


def models(path: Path) -> list[type[BaseModel]]:
    """Sections that may stand at `path`."""
    return [kind for kind in _kinds(path) if isinstance(kind, type) and issubclass(kind, BaseModel)]


def field(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field with this key, as written in YAML."""
    return next((found for name, found in model.model_fields.items() if (found.alias or name) == key), None)


def _kinds(path: Path) -> list[Any]:
    here: list[Any] = [Manifest]
    for part in path:
        after: list[Any] = []
        for kind in here:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found = field(kind, str(part))
                after += flat(found.annotation) if found is not None else []
            elif typing.get_origin(kind) in (dict, list):
                after += flat(get_args(kind)[-1])
        here = after
    return here


def flat(kind: Any) -> list[Any]:
    """The members of a union, without `Annotated`."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return flat(get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [one for member in get_args(kind) for one in flat(member)]
    return [kind]
