"""From a name or a path to a manifest whose every value knows its place."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests import merge, tree
from manifests.amounts import brief
from manifests.paths import MOST_NAME
from manifests.problems import Place, Problem, Refused, alike, listing, shown

if TYPE_CHECKING:
    from manifests.model import Manifest

FOLDER = Path(__file__).resolve().parent
"""Where manifests with a bare name live."""

MAX_BYTES = 1 << 20
"""Of one file; a larger one is not read."""

IDENTITY = ("manifest", "name", "title", "extends")
"""What a child does not inherit."""


@dataclass(frozen=True)
class Loaded:
    """A manifest that passed every check."""

    manifest: Manifest
    path: Path
    chain: list[Path]
    """Files it was merged from: the root parent first, the manifest itself last."""
    where: dict[tuple[str | int, ...], Place]
    """Place of every value, by its path of keys and list positions as written in YAML."""
    checksum: str
    """SHA-256 over the bytes of the chain, as 64 hexadecimal digits."""
    keys: dict[tuple[str | int, ...], Place] = field(default_factory=dict)
    """Place of every key, by path."""
    data: dict[str, Any] = field(default_factory=dict)
    """The merged manifest as plain text, lists and maps."""
    asked: str = ""
    """The name or path that it was asked for by."""

    def verb(self, verb: str) -> str:
        """The command line that does `verb` to this manifest."""
        return f"./buildkit.py {verb} {shlex.quote(self.asked or self.manifest.name)}"

    def beside(self, *path: str | int) -> Path:
        """The file on this host that the value at `path` names: relative to the file that says so."""
        value: Any = self.data
        for part in path:
            value = value[part]
        return self.where[path].file.parent / str(value)


def names() -> list[str]:
    """Names of the manifests that can be built."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml") if not p.name.startswith("_"))


def load(name_or_path: str) -> Loaded:
    """Load, merge and check a manifest. Raises Refused with every problem found."""
    path = find(name_or_path)
    problems: list[Problem] = []
    chain, trees, contents, whole = _chain(path, problems)
    root = trees[0]
    for child in trees[1:]:
        inherited = tree.Map(root.place, {k: v for k, v in root.entries.items() if k not in IDENTITY}, dict(root.keys))
        merged = merge.merge(inherited, child)
        assert isinstance(merged, tree.Map)
        root = merged
    first = {key: root.entries[key] for key in IDENTITY if key in root.entries}
    plain = merge.plain(tree.Map(root.place, first | root.entries, root.keys), whole)

    from manifests import checks, validation

    manifest, found = validation.validate(plain)
    named = plain.data.get("name") == manifest.name
    if path.parent == FOLDER and named and manifest.name != path.stem:
        found.add(
            ("name",), f"{path.name} calls itself `{manifest.name}`", f"write `name: {path.stem}`, or rename the file"
        )
    for other in _namesakes(path, manifest.name) if named else ():
        hint = f"give one of them another name: both would have the lock {manifest.name}.lock.json"
        found.add(("name",), f"{other.name} beside it is called `{manifest.name}` as well", hint)
    checks.check(manifest, found, whole)
    said = plain.where.get(("extends",))
    if said is not None and any(problem.place == said for problem in problems):
        # The parent itself is spoken of already.
        found.problems = [problem for problem in found.problems if problem.place != said]
    problems += plain.problems + found.problems
    if problems:
        raise Refused(problems)
    digest = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()
    return Loaded(manifest, path, chain, plain.where, digest, plain.keys, plain.data, name_or_path)


def find(name_or_path: str) -> Path:
    """The manifest file. Raises Refused when there is none, or when it is a parent."""
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path).absolute()
        if not path.is_file():
            raise Refused(
                [Problem(None, f"there is no manifest {name_or_path}", "give a name, or a path to a YAML file")]
            )
    else:
        path = FOLDER / f"{name_or_path}.yaml"
        if not re.fullmatch(r"[\w.-]+", name_or_path) or not path.is_file():
            known = names()
            hint = alike(name_or_path, known) or f"there are {listing(known)}"
            raise Refused([Problem(None, f"there is no manifest `{name_or_path}`", hint)])
    if path.name.startswith("_"):
        raise Refused(
            [Problem(None, f"{shown(path)} is a parent and is not built itself", "name a manifest that extends it")]
        )
    return path


def _namesakes(path: Path, name: str) -> Iterator[Path]:
    """Other manifests of this name in the folder. Only a file that holds such a line is read as YAML."""
    line = re.compile(rb"""(?m)(^|[{,])[ \t]*["']?name["']?[ \t]*:[ \t]*["']?%s\b""" % re.escape(name.encode()))
    for other in sorted(path.parent.glob("[!_.]*.y*ml")):
        if other.suffix not in (".yaml", ".yml"):
            continue
        with contextlib.suppress(OSError, Refused):
            if not other.is_file() or other.samefile(path) or other.stat().st_size > MAX_BYTES:
                continue
            content = other.read_bytes()
            if line.search(content):
                entries = tree.read(other, content, []).entries
                called = entries.get("name")
                if "manifest" in entries and isinstance(called, tree.Scalar) and called.text == name:
                    yield other


def _chain(path: Path, problems: list[Problem]) -> tuple[list[Path], list[tree.Map], list[bytes], bool]:
    """The manifest and its parents, the root parent first, and whether all parents are among them. Adds to `problems`
    what does not hinder going on: even without a parent the rest can be checked."""
    files: list[Path] = []
    trees: list[tree.Map] = []
    contents: list[bytes] = []
    whole, said = True, None
    while path not in files:
        try:
            content = _content(path, said)
            trees.append(tree.read(path, content, []) if files else tree.read(path, content, problems))
        except Refused as refused:
            if not files:
                raise
            problems += refused.problems
            whole = False
            break
        files.append(path)
        contents.append(content)
        parent = trees[-1].entries.get("extends")
        if not isinstance(parent, tree.Scalar) or parent.text is None:
            # What is no text is said by the model.
            whole = parent is None or isinstance(parent, tree.Scalar)
            break
        said = parent.place
        try:
            path = _parent(path, parent.text, said)
        except Refused as refused:
            problems += refused.problems
            whole = False
            break
    else:
        ring = [*files[files.index(path) :], path]
        way = " → ".join(file.name for file in ring)
        problems.append(Problem(said, f"parents go in a circle: {way}", "remove one `extends`"))
        whole = False
    return files[::-1], trees[::-1], contents[::-1], whole


def _content(path: Path, said: Place | None) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(MAX_BYTES + 1) if size <= MAX_BYTES else b""
    except OSError as error:
        raise Refused([Problem(said, f"{shown(path)} cannot be read: {error.strerror}")]) from None
    # A file of /proc has more than its size says.
    if max(size, len(content)) > MAX_BYTES:
        text = f"{shown(path)} is no manifest: it has more than {MAX_BYTES} bytes"
        raise Refused([Problem(said, text, "put data into files beside the manifest")])
    return content


def _parent(child: Path, name: str, said: Place) -> Path:
    """The file that `extends` names: beside the child, or for `_…` one of Firstlight's own."""
    if "/" in name or name in ("", ".", "..") or len(name.encode()) > MOST_NAME:
        raise Refused(
            [
                Problem(
                    said,
                    f"the parent {brief(name)} is not beside this manifest",
                    "write the name of a file in the same folder",
                )
            ]
        )
    path = child.parent / name
    if not path.is_file() and name.startswith("_"):
        path = FOLDER / name
    if not path.is_file():
        near = sorted({p.name for folder in (child.parent, FOLDER) for p in folder.glob("_*.yaml")} - {child.name})
        hint = alike(name, near) or (
            f"there are {listing(near)}" if near else "there is no parent (`_*.yaml`) beside this manifest"
        )
        raise Refused([Problem(said, f"the parent {name!r} does not exist", hint)])
    if path.resolve().parent != path.parent.resolve():
        raise Refused(
            [
                Problem(
                    said, f"the parent {name!r} is a link out of its folder", "put the file itself beside this manifest"
                )
            ]
        )
    return path
