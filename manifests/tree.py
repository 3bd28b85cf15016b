"""A YAML file as a tree in which every value keeps its place.

Built from YAML events instead of `yaml.compose`, so that nesting and aliases are bounded before anything is expanded.
Scalars stay as they are written (`3.10`, `22:22`, `on`); only a plain empty value, `~` or `null` is no value at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from manifests import syntax
from manifests.problems import Place, Problem, Refused

LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
MAX_DEPTH = 32
MAX_VALUES = 50_000

RESET = "!reset"
_PLAIN_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}


@dataclass(slots=True)
class Scalar:
    place: Place
    text: str | None
    """None: no value; it takes the parent's value away."""
    reset: bool = False
    size: int = 1


@dataclass(slots=True)
class Items:
    place: Place
    items: list[Tree] = field(default_factory=list)
    reset: bool = False
    size: int = 1


@dataclass(slots=True)
class Map:
    place: Place
    entries: dict[str, Tree] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)
    reset: bool = False
    size: int = 1


Tree = Scalar | Items | Map


def read(file: Path, data: bytes, problems: list[Problem]) -> Map:
    """The top-level map of a manifest file. Adds to `problems` what leaves the rest readable, else raises Refused."""
    return _Builder(file, problems).build(syntax.decoded(file, data))


class _Builder:
    """Builds the tree of one file, with a stack of its own: hostile nesting must not reach Python's."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.partial = False
        """Part of the file could not be read: what the rest lacks may stand there."""
        self.stack: list[Map | Items] = []
        self.pending: list[tuple[str, Place] | None] = []
        """For each container on the stack: the key that waits for its value."""
        self.anchors: dict[str, Tree | None] = {}
        self.names: list[str | None] = []
        self.root: Tree | None = None

    def build(self, text: str) -> Map:
        try:
            documents = 0
            for event in yaml.parse(text, Loader=LOADER):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._refuse(event, "a second document starts here", "a manifest is one document: remove `---`")
                self._take(event)
        except yaml.MarkedYAMLError as error:
            self.partial = True
            self.problems.append(syntax.not_yaml(self.file, text, error))
        except yaml.reader.ReaderError as error:
            self.partial = True
            self.problems.append(syntax.bad_character(self.file, text, error))
        except UnicodeError:
            self.partial = True
            self._add(Place(self.file, 1, 1, 1), "not YAML: a character that is no Unicode text")
        if not self.partial and not isinstance(self.root, Map):
            place = self.root.place if self.root else Place(self.file, 1, 1, 1)
            text = "a manifest is a map" if self.root else "the manifest is empty"
            self._add(place, text, "start with `manifest: 1` and `name: …`")
        if self.partial or not isinstance(self.root, Map):
            raise Refused(self.problems)
        return self.root

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _scalar(self, event: Any) -> None:
        plain = event.implicit[0] or event.tag == RESET
        text = None if plain and not event.style and event.value in ("", "~", "null") else event.value
        place = self._place(event)
        reset = self._reset(event)
        if text is not None and "\0" in text:
            self._add(place, "the text holds a NUL character", "no program can take it: remove it")
            text = text.replace("\0", "")
        if self._wants_key():
            self._key(event.value, place)
            return
        value = Scalar(place, text, reset)
        if event.anchor:
            self.anchors[event.anchor] = value
        self._put(value)

    def _open(self, event: Any) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} deep", "a manifest needs no more than eight levels")
        if self._wants_key():
            self._refuse(event, "a key must be text", "write `key: value`")
        place, reset = self._place(event), self._reset(event)
        made: Map | Items = (
            Map(place, reset=reset) if isinstance(event, yaml.MappingStartEvent) else Items(place, reset=reset)
        )
        if event.anchor:
            self.anchors[event.anchor] = None
        self.names.append(event.anchor)
        self.stack.append(made)
        self.pending.append(None)

    def _close(self) -> None:
        made, name = self.stack.pop(), self.names.pop()
        self.pending.pop()
        if name:
            self.anchors[name] = made
        self._put(made)

    def _alias(self, event: Any) -> None:
        if self._wants_key():
            self._refuse(event, "a key must be text", "write the key out instead of an alias")
        value = self.anchors.get(event.anchor)
        if event.anchor not in self.anchors:
            self._refuse(
                event,
                f"the alias `*{event.anchor}` has no anchor before it",
                f"write `&{event.anchor}` where the value stands",
            )
        if value is None:
            self._refuse(event, f"the alias `*{event.anchor}` stands within its own anchor", "write the value out")
        assert value is not None
        self._put(value, event)

    def _put(self, value: Tree, alias: Any = None) -> None:
        if not self.stack:
            self.root = value
            return
        parent = self.stack[-1]
        parent.size += value.size
        if parent.size > MAX_VALUES:
            place = self._place(alias) if alias else value.place
            raise_with = [
                *self.problems,
                Problem(place, f"the manifest has more than {MAX_VALUES} values", "aliases multiply: write fewer"),
            ]
            raise Refused(raise_with)
        if isinstance(parent, Items):
            parent.items.append(value)
            return
        waiting = self.pending[-1]
        assert waiting is not None
        self.pending[-1] = None
        key, place = waiting
        if key and key not in parent.entries:
            parent.entries[key], parent.keys[key] = value, place

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1], Map) and self.pending[-1] is None

    def _key(self, key: str, place: Place) -> None:
        parent = self.stack[-1]
        assert isinstance(parent, Map)
        if not key:
            self._add(place, "a key is empty", "write `key: value`")
        elif key == "<<":
            self.partial = True
            self._add(
                place,
                "merge keys (`<<`) are not part of a manifest",
                "put what is shared into a parent and use `extends`",
            )
        elif key in parent.keys:
            first = parent.keys[key]
            self._add(
                place,
                f"the key `{key}` stands here a second time",
                f"it stands first in line {first.line}: keep one of them",
            )
        self.pending[-1] = (key, place)

    def _reset(self, event: Any) -> bool:
        if event.tag == RESET:
            return True
        if event.tag not in _PLAIN_TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._add(
                self._place(event), f"the tag `{tag}` is not part of a manifest", "remove it; the only tag is `!reset`"
            )
        return False

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        line, column = start.line + 1, start.column + 1
        return Place(self.file, line, column, end.column + 1 if end.line == start.line else column + 1)

    def _add(self, place: Place, text: str, hint: str | None = None) -> None:
        self.problems.append(Problem(place, text, hint))

    def _refuse(self, event: Any, text: str, hint: str) -> None:
        raise Refused([*self.problems, Problem(self._place(event), text, hint)])
