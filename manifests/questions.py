"""What is asked of servers for a lock: one question for the base image, one a repository, one a file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue

from manifests import gitrefs, hub, registry, releases
from manifests.lock import Lock, LockedBase, LockedFile, Wanted, WantedFile, WantedGit, git_key
from manifests.web import CannotResolve, Courtesy

WORKERS = 8


@dataclass(frozen=True)
class Answer:
    """What one item's answer changes in the lock, or why there is none; `value` says it in words."""

    item: str
    outcome: Callable[[Lock], Lock] | CannotResolve
    value: str = ""


Question = Callable[[], list[Answer]]


def questions(
    given: Lock, want: Wanted, asked: Collection[str], environ: Mapping[str, str], courtesy: Courtesy
) -> Iterator[Question]:
    """One for the base image, one for each repository, one for each file."""
    if f"base {want.base}" in asked:
        yield partial(_ask_base, want.base, courtesy)
    repositories: dict[str, list[WantedGit]] = {}
    for key, origin in want.git.items():
        if f"git {key}" in asked:
            repositories.setdefault(origin.url, []).append(origin)
    for url, origins in repositories.items():
        yield partial(_ask_git, url, origins)
    for kind, files, known in (
        ("model", want.models, given.models),
        ("wheel", want.wheels, given.wheels),
        ("program", want.programs, given.programs),
    ):
        for key, file in files.items():
            if f"{kind} {key}" in asked:
                yield partial(_ask_file, kind, key, file, known[key], environ, courtesy)


def answers(asked: list[Question]) -> Iterator[Answer]:
    """Each answer as it comes in, from threads that do not hold up an interrupted program."""
    waiting: SimpleQueue[Question] = SimpleQueue()
    found: SimpleQueue[list[Answer] | Exception] = SimpleQueue()
    for question in asked:
        waiting.put(question)

    def work() -> None:
        with suppress(Empty):
            while True:
                question = waiting.get_nowait()
                try:
                    found.put(question())
                except Exception as error:
                    found.put(error)

    for _ in range(min(WORKERS, len(asked))):
        threading.Thread(target=work, daemon=True, name="lock").start()
    for _ in asked:
        outcome = found.get()
        if isinstance(outcome, Exception):
            raise outcome
        yield from outcome


def _ask_base(reference: str, courtesy: Courtesy) -> list[Answer]:
    item = f"base {reference}"
    try:
        digest = registry.digest(reference, courtesy)
    except CannotResolve as reason:
        return [Answer(item, reason)]
    return [Answer(item, lambda lock: replace(lock, base=LockedBase(reference, digest)), digest)]


def _ask_git(url: str, origins: list[WantedGit]) -> list[Answer]:
    found = []
    for ref, commit in gitrefs.resolve(url, [origin.ref for origin in origins]).items():
        key = git_key(url, ref)
        if isinstance(commit, CannotResolve):
            found.append(Answer(f"git {key}", commit))
        else:
            found.append(Answer(f"git {key}", partial(_with_commit, key, commit), commit))
    return found


def _ask_file(
    kind: str, key: str, file: WantedFile, given: LockedFile, environ: Mapping[str, str], courtesy: Courtesy
) -> list[Answer]:
    item = f"{kind} {key}"
    try:
        if kind == "program":
            found = releases.metadata(file.url, environ, courtesy)
        else:
            found = hub.metadata(file.url, given.revision or file.revision, environ, courtesy)
        found = _agreed(given, found, file)
    except CannotResolve as reason:
        return [Answer(item, reason)]
    words = [f"{found.size:,} bytes" if found.size is not None else "size unknown", found.sha256 or "no sha256"]
    return [Answer(item, partial(_with_file, kind, key, found), ", ".join(words))]


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
    return LockedFile(
        found.revision or given.revision, given.size if found.size is None else found.size, found.sha256 or given.sha256
    )


def _with_commit(key: str, commit: str, lock: Lock) -> Lock:
    return replace(lock, git={**lock.git, key: commit})


def _with_file(kind: str, key: str, file: LockedFile, lock: Lock) -> Lock:
    if kind == "program":
        return replace(lock, programs={**lock.programs, key: file})
    if kind == "wheel":
        return replace(lock, wheels={**lock.wheels, key: file})
    return replace(lock, models={**lock.models, key: file})
