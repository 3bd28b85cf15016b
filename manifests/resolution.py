"""Making a lock: what is known is kept, what is not is asked for, what stays unknown is null with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from manifests.ancestry import filled, inherited
from manifests.drift import contradictions, unknown
from manifests.load import Loaded
from manifests.lock import Lock, LockedBase, LockedFile, Wanted, WantedFile, read, wanted
from manifests.questions import answers, questions
from manifests.web import CannotResolve, Courtesy


class UnknownItem(ValueError):
    """A name given to `--update` that nothing in the manifest has."""


@dataclass(frozen=True)
class Unresolved:
    """What was asked for and is still not known."""

    item: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Progress:
    """One item is through: `value` in words, or why there is none."""

    item: str
    value: str | None
    unresolved: Unresolved | None
    done: int
    total: int


@dataclass(frozen=True)
class Result:
    lock: Lock
    unresolved: list[Unresolved] = field(default_factory=list)
    asked: int = 0
    """How many items were asked for."""
    interrupted: bool = False


def baseline(lock: Lock, loaded: Loaded) -> Lock:
    """The lock as far as it can be made without a network: what it knows of what is wanted, and what the manifest
    states itself, which wins. Pure."""
    want = wanted(loaded)
    return Lock(
        checksum=loaded.checksum,
        base=LockedBase(want.base, lock.digest(want.base)),
        git={key: lock.commit(origin.url, origin.ref) for key, origin in want.git.items()},
        models={key: _kept(file, lock.models.get(key)) for key, file in want.models.items()},
        wheels={key: _kept(file, lock.wheels.get(key)) for key, file in want.wheels.items()},
        debs={key: _kept(file, lock.debs.get(key)) for key, file in want.debs.items()},
    )


def _kept(file: WantedFile, locked: LockedFile | None) -> LockedFile:
    if locked is None or contradictions(file, locked):
        return LockedFile(None, file.size, file.sha256)
    return replace(locked, size=_or(locked.size, file.size), sha256=locked.sha256 or file.sha256)


def _without(lock: Lock, names: Collection[str]) -> Lock:
    """The lock with these items forgotten."""
    return replace(
        lock,
        base=LockedBase() if f"base {lock.base.reference}" in names else lock.base,
        git={key: commit for key, commit in lock.git.items() if f"git {key}" not in names},
        models={key: file for key, file in lock.models.items() if f"model {key}" not in names},
        wheels={key: file for key, file in lock.wheels.items() if f"wheel {key}" not in names},
        debs={key: file for key, file in lock.debs.items() if f"deb {key}" not in names},
    )


def select(want: Wanted, names: Iterable[str]) -> set[str]:
    """Items that are called so; `all` is every one. Raises UnknownItem."""
    known = called(want)
    chosen: set[str] = set()
    for name in names:
        found = {item for item, aliases in known.items() if name in ("all", item) or name in aliases}
        if not found:
            raise UnknownItem(name)
        chosen |= found
    return chosen


def called(want: Wanted) -> dict[str, set[str]]:
    """Every item, with the other names that `--update` understands."""
    found = {f"base {want.base}": {"base", want.base}}
    for key, origin in want.git.items():
        found[f"git {key}"] = {"git", key, origin.url, *origin.names}
    for kind, files in (("model", want.models), ("wheel", want.wheels), ("deb", want.debs)):
        for key, file in files.items():
            base = set() if file.url.startswith("civitai:") else {file.url.rpartition("/")[2]}
            found[f"{kind} {key}"] = {f"{kind}s", key, file.url, *file.names} | base
    return found


def update(
    loaded: Loaded,
    names: Iterable[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    courtesy: Courtesy | None = None,
) -> Result:
    """A new lock for a manifest, from the one that it has and those of its parents. Writes nothing.

    Without `names` everything that is unknown is asked for; with names these items, known or not, and those that
    the lock does not have at all. Nobody is asked for what is known, and what cannot be asked again stays as it was.
    Raises UnknownItem, and Refused for a broken lock.
    """
    courtesy = courtesy or Courtesy()
    want, old = wanted(loaded), filled(read(loaded), inherited(loaded))
    anew = select(want, names) if names is not None else set()
    lock, given = baseline(old, loaded), baseline(_without(old, anew), loaded)
    asked = unknown(given, want)
    if names is not None:
        asked &= anew | called(want).keys() - _items_of(old)
    asking = questions(given, want, asked, os.environ if environ is None else environ, courtesy)
    unresolved: list[Unresolved] = []
    done, interrupted = 0, False
    try:
        for answer in answers(list(asking)):
            done += 1
            failure = None
            if isinstance(answer.outcome, CannotResolve):
                failure = Unresolved(answer.item, answer.outcome.reason, answer.outcome.remedy)
                unresolved.append(failure)
            else:
                lock = answer.outcome(lock)
            on_progress(Progress(answer.item, None if failure else answer.value, failure, done, len(asked)))
    except KeyboardInterrupt:
        interrupted = True
        courtesy.stop()
    return Result(lock, sorted(unresolved, key=lambda u: u.item), len(asked), interrupted)


def _items_of(lock: Lock) -> set[str]:
    return {
        f"base {lock.base.reference}",
        *(f"git {key}" for key in lock.git),
        *(f"model {key}" for key in lock.models),
        *(f"wheel {key}" for key in lock.wheels),
        *(f"deb {key}" for key in lock.debs),
    }


def _or(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
