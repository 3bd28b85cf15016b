"""What a manifest means today: base digest, git commits, and each model file's revision, size and SHA-256.

`NAME.lock.json` stands beside the manifest and is committed. What is not known stays null.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from manifests import desktop, expand
from manifests.load import Loaded
from manifests.origins import Origin
from manifests.problems import Place, Problem, Refused

SCHEMA = "firstlight.lock/1"
_STRICT = ConfigDict(extra="forbid", strict=True)

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
Bytes = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class LockedBase:
    """The base image: `digest` is that of the index when the image has several platforms."""

    __pydantic_config__ = _STRICT

    reference: str = ""
    digest: Digest | None = None


@dataclass(frozen=True)
class LockedFile:
    """A file: `revision` is a Hugging Face commit, null for files from elsewhere."""

    __pydantic_config__ = _STRICT

    revision: Commit | None = None
    size: Bytes | None = None
    sha256: Sha256 | None = None


@dataclass(frozen=True)
class Lock:
    """`git` goes by `URL#ref`, `models` by `URL@revision` (without `@…` outside Hugging Face), `wheels` and `programs`
    (micromamba, KasmVNC's package: what an image runs and no index has) by URL."""

    __pydantic_config__ = _STRICT

    checksum: str = ""
    """SHA-256 over the manifest and its parents when the lock was made; empty: there is no lock yet."""
    base: LockedBase = LockedBase()
    git: dict[str, Commit | None] = field(default_factory=dict)
    models: dict[str, LockedFile] = field(default_factory=dict)
    wheels: dict[str, LockedFile] = field(default_factory=dict)
    programs: dict[str, LockedFile] = field(default_factory=dict)

    def digest(self, reference: str) -> str | None:
        """Digest of base image `reference`, if known."""
        return self.base.digest if self.base.reference == reference else None

    def commit(self, url: str, ref: str) -> str | None:
        """Commit of `ref`, if known."""
        return ref if is_commit(ref) else self.git.get(git_key(url, ref))

    def file(self, url: str, revision: str | None = None) -> LockedFile:
        """What is known of a file: model, wheel or program."""
        known = self.models.get(model_key(url, revision)) or self.wheels.get(url) or self.programs.get(url)
        return known or LockedFile()

    def sizes(self, files: Iterable[expand.File]) -> dict[str, int | None]:
        """Bytes by destination; None where neither manifest nor lock knows."""
        return {
            file.destination: self.file(file.url, file.revision).size if file.size is None else file.size
            for file in files
        }

    @property
    def revision(self) -> str:
        """SHA-256 of the lock itself: the same lock makes the same image."""
        return hashlib.sha256(text(self).encode()).hexdigest()


def git_key(url: str, ref: str) -> str:
    return f"{url}#{ref}"


def model_key(url: str, revision: str | None) -> str:
    return url if revision is None else f"{url}@{revision}"


def is_commit(ref: str) -> bool:
    """A full commit hash means the same everywhere and always."""
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ref) is not None


@dataclass(frozen=True)
class WantedGit:
    url: str
    ref: str
    names: tuple[str, ...]
    """Sources, nodes and kernels that want it."""


@dataclass(frozen=True)
class WantedFile:
    """A model file, a wheel or a program, with what the manifest itself says about it."""

    url: str
    revision: str | None
    size: int | None
    sha256: str | None
    names: tuple[str, ...]
    """Model sets and destinations, kernels, or environments."""


@dataclass(frozen=True)
class Wanted:
    """Everything that a manifest leaves to be looked up, by the keys of Lock."""

    base: str
    git: dict[str, WantedGit]
    models: dict[str, WantedFile]
    wheels: dict[str, WantedFile]
    programs: dict[str, WantedFile]


def wanted(loaded: Loaded) -> Wanted:
    """What the lock of this manifest has to know. Pure."""
    manifest = loaded.manifest
    git: dict[str, WantedGit] = {}
    for name, origin in _origins(loaded):
        if origin.git is not None and origin.ref is not None:
            key = git_key(origin.git, origin.ref)
            known = git.get(key, WantedGit(origin.git, origin.ref, ()))
            git[key] = replace(known, names=(*known.names, name))
    models: dict[str, WantedFile] = {}
    for set_name, model_set in manifest.models.sets.items():
        for url, revision, destination, size, sha256 in expand.files(model_set):
            _want(models, model_key(url, revision), WantedFile(url, revision, size, sha256, (set_name, destination)))
    wheels: dict[str, WantedFile] = {}
    for kernel_name, kernel in manifest.kernels.items():
        for wheel in kernel.wheels:
            _want(wheels, wheel.url, WantedFile(wheel.url, None, None, wheel.sha256, (kernel_name,)))
    programs: dict[str, WantedFile] = {}
    for env_name, env in manifest.python.envs.items():
        if env.conda is not None:
            url = expand.micromamba(env.conda)
            _want(programs, url, WantedFile(url, None, None, None, (env_name,)))
    if (deb := desktop.package_url(manifest)) is not None:
        _want(programs, deb, WantedFile(deb, None, None, None, (desktop.NAME,)))
    return Wanted(manifest.image.base, git, models, wheels, programs)


def _origins(loaded: Loaded) -> Iterator[tuple[str, Origin]]:
    manifest = loaded.manifest
    yield from manifest.sources.items()
    for node in manifest.nodes.items if manifest.nodes else []:
        yield expand.node_name(node), node
    yield from manifest.kernels.items()


def _want(files: dict[str, WantedFile], key: str, file: WantedFile) -> None:
    known = files.setdefault(key, replace(file, names=()))
    files[key] = WantedFile(
        file.url,
        file.revision,
        known.size if known.size is not None else file.size,
        known.sha256 or file.sha256,
        (*known.names, *(name for name in file.names if name not in known.names)),
    )


def path_of(loaded: Loaded) -> Path:
    """Where the lock stands."""
    return loaded.path.with_name(f"{loaded.manifest.name}.lock.json")


def text(lock: Lock) -> str:
    """The lock as JSON, byte-stable."""
    content = asdict(lock)
    if not lock.programs:  # most images need none
        del content["programs"]
    return json.dumps({"schema": SCHEMA, **content}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(loaded: Loaded) -> Lock:
    """The lock of a manifest, empty when there is none. Raises Refused when it cannot be understood."""
    return read_from(path_of(loaded), loaded)


def read_from(path: Path, loaded: Loaded) -> Lock:
    """The lock in `path`, that of `loaded` or of a parent; empty when there is none. Raises Refused."""
    try:
        written = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Lock()
    except (OSError, UnicodeDecodeError) as error:
        _refuse(Place(path, 1, 1, 2), f"the lock cannot be read ({error})", _again(path, loaded))
    return _parse(written, path, loaded)


def write(lock: Lock, loaded: Loaded) -> Path:
    """Put the lock beside its manifest, by rename; a file that says the same already is left alone."""
    path, content = path_of(loaded), text(lock)
    if not path.exists() or path.read_bytes() != content.encode():
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            fresh.write_text(content, encoding="utf-8")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    return path


def _parse(written: str, path: Path, loaded: Loaded) -> Lock:
    for number, line in enumerate(written.split("\n"), 1):
        if line.startswith("<<<<<<< "):
            hint = f"keep either side as a whole, then run `{loaded.verb('lock')}`"
            _refuse(Place(path, number, 1, len(line) + 1), "the lock holds an unresolved merge conflict", hint)
    try:
        data: Any = json.loads(written)
    except json.JSONDecodeError as error:
        place = Place(path, error.lineno, error.colno, error.colno + 1)
        _refuse(place, f"the lock is not JSON: {error.msg}", _again(path, loaded))
    except (RecursionError, ValueError):
        _beyond(path, loaded)
    found = data.pop("schema", None) if isinstance(data, dict) else None
    if found != SCHEMA:
        text = f"the lock has the schema {found!r}, and this Firstlight reads {SCHEMA!r}"
        _refuse(_line(path, written, "schema"), text, f"use the Firstlight that wrote it, or {_again(path, loaded)}")
    try:
        return _adapter().validate_json(json.dumps(data))
    except RecursionError:
        _beyond(path, loaded)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = [str(part) for part in first["loc"]]
        text = f"the lock is damaged{' at ' if keys else ''}{' → '.join(keys)}: {first['msg']}"
        _refuse(_line(path, written, *keys), text, _again(path, loaded))


def _beyond(path: Path, loaded: Loaded) -> NoReturn:
    text = "the lock is damaged: it is nested too deeply, or holds a number that is too long"
    _refuse(Place(path, 1, 1, 2), text, _again(path, loaded))


@cache
def _adapter() -> TypeAdapter[Lock]:
    return TypeAdapter(Lock)


def _line(path: Path, written: str, *keys: str) -> Place:
    """The line where the last of these keys stands, searched one within the other."""
    lines, at = written.split("\n"), 0
    for key in keys:
        quoted = json.dumps(key, ensure_ascii=False)
        at = next((n for n in range(at, len(lines)) if lines[n].lstrip().startswith(quoted)), at)
    line = lines[at]
    return Place(path, at + 1, len(line) - len(line.lstrip()) + 1, len(line.rstrip(",")) + 1)


def _again(path: Path, loaded: Loaded) -> str:
    return f"restore {path.name} from version control, or delete it and run `{loaded.verb('lock')}`"


def _refuse(place: Place, text: str, hint: str) -> NoReturn:
    raise Refused([Problem(place, text, hint)])
