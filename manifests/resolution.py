"""Making a lock: what is known is kept, what is not is asked for, what stays unknown is null with a reason."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue

from manifests import gitrefs, hub, registry
from manifests.drift import contradictions, unknown
from manifests.load import Loaded
from manifests.lock import Lock, LockedBase, LockedFile, Wanted, WantedFile, WantedGit, git_key, read, wanted
from manifests.web import CannotResolve, Courtesy

WORKERS = 8


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
    for kind, files in (("model", want.models), ("wheel", want.wheels)):
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
    """A new lock for a manifest, from the one that it has. Writes nothing.

    Without `names` everything that is unknown is asked for; with names these items, known or not, and those that
    the lock does not have at all. Nobody is asked for what is known, and what cannot be asked again stays as it was.
    Raises UnknownItem, and Refused for a broken lock.
    """
    courtesy = courtesy or Courtesy()
    want, old = wanted(loaded), read(loaded)
    anew = select(want, names) if names is not None else set()
    lock, given = baseline(old, loaded), baseline(_without(old, anew), loaded)
    asked = unknown(given, want)
    if names is not None:
        asked &= anew | called(want).keys() - _items_of(old)
    questions = _questions(given, want, asked, os.environ if environ is None else environ, courtesy)
    unresolved: list[Unresolved] = []
    done, interrupted = 0, False
    try:
        for answer in _answers(list(questions)):
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
    }


@dataclass(frozen=True)
class _Answer:
    """What one item's answer changes in the lock, or why there is none; `value` says it in words."""

    item: str
    outcome: Callable[[Lock], Lock] | CannotResolve
    value: str = ""


_Question = Callable[[], list[_Answer]]


def _questions(
    given: Lock, want: Wanted, asked: Collection[str], environ: Mapping[str, str], courtesy: Courtesy
) -> Iterator[_Question]:
    """One for the base image, one for each repository, one for each file."""
    if f"base {want.base}" in asked:
        yield partial(_ask_base, want.base, courtesy)
    repositories: dict[str, list[WantedGit]] = {}
    for key, origin in want.git.items():
        if f"git {key}" in asked:
            repositories.setdefault(origin.url, []).append(origin)
    for url, origins in repositories.items():
        yield partial(_ask_git, url, origins)
    for key, file in want.models.items():
        if f"model {key}" in asked:
            yield partial(_ask_file, "model", key, file, given.models[key], environ, courtesy)
    for key, file in want.wheels.items():
        if f"wheel {key}" in asked:
            yield partial(_ask_file, "wheel", key, file, given.wheels[key], environ, courtesy)


def _answers(questions: list[_Question]) -> Iterator[_Answer]:
    """Each answer as it comes in, from threads that do not hold up an interrupted program."""
    waiting: SimpleQueue[_Question] = SimpleQueue()
    found: SimpleQueue[list[_Answer] | Exception] = SimpleQueue()
    for question in questions:
        waiting.put(question)

    def work() -> None:
        with suppress(Empty):
            while True:
                question = waiting.get_nowait()
                try:
                    found.put(question())
                except Exception as error:
                    found.put(error)

    for _ in range(min(WORKERS, len(questions))):
        threading.Thread(target=work, daemon=True, name="lock").start()
    for _ in questions:
        answers = found.get()
        if isinstance(answers, Exception):
            raise answers
        yield from answers


def _ask_base(reference: str, courtesy: Courtesy) -> list[_Answer]:
    item = f"base {reference}"
    try:
        digest = registry.digest(reference, courtesy)
    except CannotResolve as reason:
        return [_Answer(item, reason)]
    return [_Answer(item, lambda lock: replace(lock, base=LockedBase(reference, digest)), digest)]


def _ask_git(url: str, origins: list[WantedGit]) -> list[_Answer]:
    answers = []
    for ref, commit in gitrefs.resolve(url, [origin.ref for origin in origins]).items():
        key = git_key(url, ref)
        if isinstance(commit, CannotResolve):
            answers.append(_Answer(f"git {key}", commit))
        else:
            answers.append(_Answer(f"git {key}", partial(_with_commit, key, commit), commit))
    return answers


def _ask_file(
    kind: str, key: str, file: WantedFile, given: LockedFile, environ: Mapping[str, str], courtesy: Courtesy
) -> list[_Answer]:
    item = f"{kind} {key}"
    try:
        found = hub.metadata(file.url, given.revision or file.revision, environ, courtesy)
        found = _agreed(given, found, file)
    except CannotResolve as reason:
        return [_Answer(item, reason)]
    words = [f"{found.size:,} bytes" if found.size is not None else "size unknown", found.sha256 or "no sha256"]
    return [_Answer(item, partial(_with_file, kind, key, found), ", ".join(words))]


def _agreed(given: LockedFile, found: LockedFile, file: WantedFile) -> LockedFile:
    """Both together. Raises CannotResolve when the server now has another file than the one known."""
    for name in ("sha256", "size"):
        known, now = getattr(given, name), getattr(found, name)
        if known is not None and now is not None and known != now:
            at = f" (commit {found.revision})" if found.revision else ""
            stated = getattr(file, name) is not None
            raise CannotResolve(
                f"the server has another file now: {name} {now}{at}, known is {known}",
                f"correct `{name}` in the manifest"
                if stated
                else "take the new one with `--update`, or pin `revision`",
            )
    return LockedFile(found.revision or given.revision, _or(found.size, given.size), found.sha256 or given.sha256)


def _with_commit(key: str, commit: str, lock: Lock) -> Lock:
    return replace(lock, git={**lock.git, key: commit})


def _with_file(kind: str, key: str, file: LockedFile, lock: Lock) -> Lock:
    if kind == "wheel":
        return replace(lock, wheels={**lock.wheels, key: file})
    return replace(lock, models={**lock.models, key: file})


def _or(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
