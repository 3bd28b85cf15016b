"""A child over its parent: maps merge, lists append, scalars replace, `!reset` starts over. Places survive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from manifests.problems import Place, Problem
from manifests.tree import Items, Map, Scalar, Tree

Path = tuple[str | int, ...]


def merge(parent: Tree, child: Tree) -> Tree:
    """The child laid over the parent; neither is changed."""
    if child.reset:
        return child
    if isinstance(parent, Map) and isinstance(child, Map):
        entries, keys = dict(parent.entries), dict(parent.keys)
        for name, value in child.entries.items():
            keys[name] = child.keys[name]
            entries[name] = merge(entries[name], value) if name in entries else value
        gone = [name for name, value in child.entries.items() if _unset(value) and name in parent.entries]
        for name in gone:
            del entries[name], keys[name]
        return Map(child.place, entries, keys)
    if isinstance(parent, Items) and isinstance(child, Items):
        return Items(child.place, [*parent.items, *child.items])
    return child


def _unset(value: Tree) -> bool:
    return isinstance(value, Scalar) and value.text is None


@dataclass
class Plain:
    """A merged tree as plain data, with the place of everything by path."""

    data: dict[str, Any]
    where: dict[Path, Place] = field(default_factory=dict)
    """Place of each value."""
    keys: dict[Path, Place] = field(default_factory=dict)
    """Place of each entry's key."""
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True
    """No parent is missing; else a key without a value may take away one of the missing parent's."""


def plain(root: Map, whole: bool = True) -> Plain:
    """Plain data of a merged tree: text, lists and maps."""
    made = Plain({}, whole=whole)
    made.data = _map(root, (), made)
    return made


def _value(tree: Tree, path: Path, into: Plain) -> Any:
    into.where[path] = tree.place
    if isinstance(tree, Map):
        return _map(tree, path, into)
    if isinstance(tree, Items):
        kept: list[Any] = []
        for item in tree.items:
            if _unset(item):
                into.problems.append(Problem(item.place, "this entry of the list is empty", _NO_VALUE))
            else:
                kept.append(_value(item, (*path, len(kept)), into))
        return kept
    return tree.text


def _map(tree: Map, path: Path, into: Plain) -> dict[str, Any]:
    into.where[path] = tree.place
    made = {}
    for name, value in tree.entries.items():
        here = (*path, name)
        if _unset(value):
            if not value.reset and into.whole:
                into.problems.append(Problem(tree.keys[name], f"`{name}` has no value", _NO_VALUE))
            continue
        into.keys[here] = tree.keys[name]
        made[name] = _value(value, here, into)
    return made


_NO_VALUE = "write one (`''` is the empty text, `[]` the empty list), or remove the line"


def leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar, and every empty list or map, with its path."""
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from leaves(value, (*path, name))
    elif isinstance(data, list) and data:
        for index, value in enumerate(data):
            yield from leaves(value, (*path, index))
    else:
        yield path, data
